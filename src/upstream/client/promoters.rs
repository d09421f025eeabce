//! All promoters of an app, page by page.

use std::collections::HashMap;

use tokio_util::sync::CancellationToken;

use super::Client;
use super::attempt::ApiRequest;
use crate::model::feed::Interface;
use crate::upstream::budget::CallQueue;
use crate::upstream::error::CallError;
use crate::upstream::promoter_list::{ListedPromoter, PromoterPage, body, read_promoter_page};

/// Rows of a page at most, by the official page.
const FULL_PAGE: usize = 2000;
/// Twice what a Mini Program may have.
const ROWS_MAX: usize = if cfg!(test) { 20_000 } else { 200_000 };

/// The promoters of an app, each once: where the upstream lists one twice, its last row counts.
#[derive(Debug, Default)]
pub struct PromoterList {
    pub listed: HashMap<String, ListedPromoter>,
    /// Rows that name nobody: any promoter may be meant.
    pub unreadable: usize,
    /// It ends before all are listed: some page counts more than there are in it, or the pages do not move on.
    pub is_cut: bool,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum PromoterListError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("a page of {rows} rows gives no id to go on behind")]
    NoNextPage { rows: usize },
    #[error("its pages do not end after {ROWS_MAX} rows")]
    Endless,
}

impl PromoterList {
    /// Whether the page brought anybody new.
    fn take(&mut self, page: PromoterPage) -> bool {
        let before = self.listed.len();
        self.unreadable += page.unreadable;
        self.listed.extend(page.listed.into_iter().map(|listed| (listed.promoter_id.clone(), listed)));
        self.listed.len() > before
    }
}

impl Client {
    /// Asks for all promoters of the app.
    ///
    /// A page with rows is never taken for the last one, however few they are, but where it brings nobody new: an answer that
    /// was cut would make promoters vanish. It costs a call more. What `total_cnt` counts is not certain; by either reading no page
    /// counts more than the whole list has. So the list is cut where one does, and where a full page brings nobody new: there
    /// the upstream has not gone on behind the row that was named.
    ///
    /// # Errors
    /// [`PromoterListError`]: what was read until then says nothing about who is missing.
    pub async fn promoter_list(&self, cancel: &CancellationToken) -> Result<PromoterList, PromoterListError> {
        let (mut list, mut start_id, mut rows, mut counted) = (PromoterList::default(), None, 0, 0);
        loop {
            let mut page = self.promoter_page(start_id.as_deref(), cancel).await?;
            let (next, of_page) = (page.last_id.take(), page.rows());
            rows += of_page;
            counted = counted.max(page.counted);
            let is_over = !list.take(page);
            match next {
                _ if is_over => {
                    list.is_cut = of_page >= FULL_PAGE;
                    break;
                }
                _ if rows > ROWS_MAX => return Err(PromoterListError::Endless),
                // Nobody can go on behind it, and a page that is not full need have nothing behind it.
                None if of_page < FULL_PAGE => break,
                None => return Err(PromoterListError::NoNextPage { rows: of_page }),
                next => start_id = next,
            }
        }
        list.is_cut |= counted > list.listed.len() + list.unreadable;
        Ok(list)
    }

    /// # Errors
    /// [`CallError::Cancelled`] as soon as `cancel` is; else as [`Client::call`].
    async fn promoter_page(
        &self,
        start_id: Option<&str>,
        cancel: &CancellationToken,
    ) -> Result<PromoterPage, CallError> {
        let is_first = start_id.is_none();
        let read = move |bytes: &[u8], _| read_promoter_page(bytes, is_first);
        let api_request = ApiRequest {
            interface: Interface::GetPromoter,
            // It asks about nobody in particular.
            promoter_id: "",
            queue: if is_first { CallQueue::First } else { CallQueue::Further },
            body: body(start_id, self.id_kind),
            patience: None,
            read: &read,
        };
        let response = cancel.run_until_cancelled(self.call(&api_request)).await;
        Ok(response.unwrap_or(Err(CallError::Cancelled))?.content)
    }
}
