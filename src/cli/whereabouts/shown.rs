//! Whether the upstream shows an order: one call, which is not repeated.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::cli::own_client::own_client;
use crate::config::Config;
use crate::model::pages::{PageHead, is_whole};
use crate::model::promoter::Promoter;
use crate::model::time::UnixTime;
use crate::telemetry::last_words;
use crate::text::with_causes;
use crate::upstream::client::RowsResponse;
use crate::upstream::rows_request::{RowsQuery, RowsRequest};

/// What has come of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamLook {
    /// Why not.
    NotAsked(&'static str),
    /// It gave no answer that can be read.
    Failed(String),
    /// It shows the order, which was paid then.
    Shown(UnixTime),
    /// It is not among so many rows; whether these are all of the promoter's.
    NotShown { rows: usize, are_all: bool },
}

/// Asks for the promoter's orders of all days: the first page of them.
pub async fn look(config: &Config, promoter: &Promoter, trade_no: &str, until: Instant) -> UpstreamLook {
    let Some(app) = config.apps.iter().find(|app| app.client.app_id.is_of(promoter)) else {
        return UpstreamLook::NotAsked("its app is not configured here");
    };
    let client = match own_client(app.client.clone(), config.http) {
        Ok(client) => client,
        Err(error) => return UpstreamLook::Failed(with_causes(&*error)),
    };
    last_words::say(&format_args!("{promoter}: costs 1 call of getorder"));
    let request = RowsRequest { promoter: promoter.clone(), query: RowsQuery::Orders { date: None }, start_id: None };
    let asking = async {
        client.warm_up().await.map_err(|error| with_causes(&error))?;
        client.page(&request, &CancellationToken::new()).await.map_err(|error| with_causes(&error))
    };
    match tokio::time::timeout_at(until.into(), asking).await {
        Ok(Ok(response)) => found(response, trade_no),
        Ok(Err(error)) => UpstreamLook::Failed(error),
        Err(_) => UpstreamLook::Failed("it has not answered in time".to_owned()),
    }
}

fn found(RowsResponse { page, .. }: RowsResponse, trade_no: &str) -> UpstreamLook {
    // A page tells where to go on from also where nothing follows.
    let head = PageHead { total_cnt: page.total_cnt, start_id: page.start_id, count: page.rows.len() };
    let mut payments = page.rows.iter().filter_map(|row| row.content.as_ref().ok()?.payment());
    match payments.find(|payment| payment.trade_no == trade_no) {
        Some(payment) => UpstreamLook::Shown(payment.paid_time),
        None => UpstreamLook::NotShown { rows: head.count, are_all: is_whole(&head) },
    }
}
