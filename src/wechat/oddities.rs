//! What rows say that is left out of their facts, or makes them doubtful: counted, and said once for each app.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::fields::ReadFields;
use crate::domain::promoter::{AppId, Promoter};
use crate::domain::row::Row;

/// Of the rows of one page, or of all pages of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// How often an optional field could not be read, by its name. The fact was published with null in its place.
    pub unreadable_fields: BTreeMap<&'static str, u64>,
    /// Rows that name another promoter than the one asked for. They were published under the one asked for: the upstream
    /// takes and gives openids and unionids. But one person entered under both is paid twice.
    pub other_promoter: u64,
}

impl Oddities {
    /// Counts what is odd about a row, which is given back.
    pub(super) fn note(&mut self, read: ReadFields) -> Row {
        for field in read.unreadable {
            *self.unreadable_fields.entry(field).or_default() += 1;
        }
        self.other_promoter += u64::from(read.names_another);
        read.row
    }

    pub fn is_empty(&self) -> bool {
        *self == Oddities::default()
    }

    fn add(&mut self, other: &Oddities) {
        for (field, count) in &other.unreadable_fields {
            *self.unreadable_fields.entry(field).or_default() += count;
        }
        self.other_promoter += other.other_promoter;
    }
}

/// The oddities of all pages of one app, since the process began.
#[derive(Debug, Default)]
pub(super) struct Account(Mutex<Oddities>);

impl Account {
    pub fn total(&self) -> Oddities {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds those of a page, and says what is met for the first time: each field, and another promoter.
    pub fn add(&self, app: &AppId, promoter: &Promoter, page: &Oddities) {
        if page.is_empty() {
            return;
        }
        let mut total = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for field in page.unreadable_fields.keys().filter(|field| !total.unreadable_fields.contains_key(*field)) {
            tracing::warn!(%app, %promoter, field, "an optional field can't be read and is published as null");
        }
        if total.other_promoter == 0 && page.other_promoter > 0 {
            tracing::warn!(
                %app, %promoter,
                "rows name another promoter than the one asked for: who is entered under two ids is paid twice"
            );
        }
        tracing::debug!(%app, %promoter, unreadable = ?page.unreadable_fields, other_promoter = page.other_promoter, "odd rows");
        total.add(page);
    }
}
