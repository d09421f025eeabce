//! What the upstream shows: read by the client and the pulls of the polls.

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::comparison::{ComparedFact, ComparedOrder, ShownFacts};
use super::judged::JudgedFeed;
use crate::cli::own_client::own_client;
use crate::model::cursor::Cursor;
use crate::model::fact::{Fact, dead_row_id};
use crate::model::feed::Feed;
use crate::model::page_facts::PageFacts;
use crate::model::promoter::Promoter;
use crate::model::pull::{Pull, PullJob, PullStep, Taken};
use crate::model::scope::Scope;
use crate::poll::poller::rows_request;
use crate::session::AppSettings;
use crate::upstream::client::{Client, RowsResponse};
use crate::upstream::http::HttpSettings;

pub struct UpstreamReader<'a> {
    app: &'a AppSettings,
    client: Client,
}

impl UpstreamReader<'_> {
    /// # Errors
    /// Where there is no client.
    pub fn new(app: &AppSettings, http: HttpSettings) -> anyhow::Result<UpstreamReader<'_>> {
        Ok(UpstreamReader { app, client: own_client(app.client.clone(), http)? })
    }

    /// All that is shown of the promoter for what is judged.
    ///
    /// # Errors
    /// Where the upstream does not show all of it.
    pub async fn facts(&self, promoter: &Promoter, judged: &[JudgedFeed]) -> anyhow::Result<ShownFacts> {
        let mut shown = ShownFacts::default();
        if judged.is_empty() {
            return Ok(shown);
        }
        self.client.warm_up().await?;
        for feed in judged {
            for scope in feed.scopes() {
                let pulled = self.pull(promoter, feed, scope, &mut shown).await;
                pulled.with_context(|| format!("the {} of {promoter} are not shown to their end", feed.feed))?;
            }
        }
        Ok(shown)
    }

    /// Reads until the rows have settled, as a poll does.
    ///
    /// # Errors
    /// That of a call, or of a pull whose rows do not settle. Nothing is tried again.
    async fn pull(
        &self,
        promoter: &Promoter,
        judged: &JudgedFeed,
        scope: Scope,
        shown: &mut ShownFacts,
    ) -> anyhow::Result<()> {
        let job = PullJob {
            promoter: promoter.clone(),
            scope,
            complete_before: Cursor::begin(judged.feed, judged.from).complete_before,
            lateness: self.app.feeds.lateness(judged.feed),
            refunds: None,
        };
        let mut pull = Pull::new(job, self.client.now());
        loop {
            let request = rows_request(promoter, pull.next_request());
            let RowsResponse { page, guard, .. } = self.client.page(&request, &CancellationToken::new()).await?;
            shown.calls += 1;
            let Taken { page_facts, step } =
                pull.take_page(page.rows, page.total_cnt, page.start_id, self.client.local_now());
            shown.take(promoter, judged.feed, page_facts);
            drop(guard);
            if let PullStep::End(_) = step? {
                return Ok(());
            }
        }
    }
}

impl ShownFacts {
    /// Takes what is of the feed's own: the refunds that orders meet are shown by theirs.
    fn take(&mut self, promoter: &Promoter, feed: Feed, page_facts: PageFacts) {
        for observed in page_facts.facts {
            let fact = observed.fact;
            if fact.memory == feed {
                self.facts.insert(fact.id, (compared(&fact), dead_row_id(promoter, &fact.raw)));
            }
        }
        self.dead_rows.extend(page_facts.dead_rows.into_iter().map(|row| row.id));
    }
}

pub(super) fn compared(fact: &Fact) -> ComparedFact {
    let order = fact.content.order().map(|(status, payment)| ComparedOrder {
        status: status.word().to_owned(),
        mch_id: payment.mch_id.clone(),
        trade_no: payment.trade_no.clone(),
        paid_amount: payment.paid_amount,
        paid_time: payment.paid_time,
    });
    ComparedFact { id: fact.id, feed: fact.memory, time: fact.has_time().then_some(fact.time), order }
}
