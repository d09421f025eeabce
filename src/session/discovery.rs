//! Discovery: reads an app's list of promoters as often as its configuration says, and writes what that comes to to the registry,
//! from where it acts as what an operator writes does.
//!
//! # Who discovers
//!
//! The owner of one shard ([`DISCOVERING`](crate::model::shard::Shard::DISCOVERING)), for all apps, while it owns that. One
//! instance sees the whole list and everything that is registered of an app, so that no more than may go are removed at once, and
//! the list is read once however many instances there are. A discovery needs no lock: two at once (one that has lost the shard and
//! has not heard of it yet, or a command beside it) do no harm, as [`crate::registry::discovery`] argues.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::commit::log::LogError;
use crate::commit::registry_topic::RegistryTopic;
use crate::model::promoter::Promoter;
use crate::registry::discovery::{DiscoveryCounts, DiscoveryList, DiscoveryPlan, HeldBack, Listed, RemovalLimit};
use crate::registry::tags::{TAG_BYTES_MAX, TAGS_MAX, Tags};
use crate::text;
use crate::upstream::client::{Client, PromoterList, PromoterListError};
use crate::upstream::promoter_list::ListedPromoter;

/// Before the first discovery of an owner: what has moved may move on.
const FIRST_AFTER: Duration = Duration::from_secs(5);
/// After one that has failed, unless the next comes sooner.
const AGAIN_AFTER: Duration = Duration::from_secs(10 * 60);

/// How the promoters of an app are discovered.
#[derive(Clone, Debug)]
pub struct DiscoverySettings {
    /// Absent where only a command discovers.
    pub every: Option<Duration>,
    /// How many of those that it has found may vanish at once, in percent.
    pub remove_max: u8,
    /// What of a row of the list becomes a tag.
    pub tags: Vec<DiscoveryTag>,
}

/// What of a row becomes a tag, of the field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoveryTag {
    RetailId,
    RoleId,
    ExtraInfo,
}

impl DiscoveryTag {
    pub const ALL: [DiscoveryTag; 3] = [DiscoveryTag::RetailId, DiscoveryTag::RoleId, DiscoveryTag::ExtraInfo];

    /// As the upstream calls it.
    pub fn name(self) -> &'static str {
        match self {
            DiscoveryTag::RetailId => "retail_id",
            DiscoveryTag::RoleId => "role_id",
            DiscoveryTag::ExtraInfo => "extra_info",
        }
    }

    fn text(self, listed: &ListedPromoter) -> Option<&str> {
        let text = match self {
            DiscoveryTag::RetailId => &listed.retail_id,
            DiscoveryTag::RoleId => &listed.role_id,
            DiscoveryTag::ExtraInfo => &listed.extra_info,
        };
        text.as_deref().filter(|text| text.len() <= TAG_BYTES_MAX)
    }
}

/// An app whose promoters are discovered.
pub struct DiscoveredApp {
    pub client: Arc<Client>,
    pub settings: DiscoverySettings,
}

/// Discovers the promoters of apps, for as long as it is asked to.
pub struct Discovery {
    pub apps: Vec<DiscoveredApp>,
    pub topic: Arc<dyn RegistryTopic>,
}

/// What an operator has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiscoveryOrder {
    /// Nothing is written.
    pub dry_run: bool,
    /// However many are missing from the list are removed.
    pub removes_all: bool,
}

/// Why nothing was discovered. What is registered stays.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    #[error("the list of promoters can't be read")]
    List(#[source] PromoterListError),
    #[error(transparent)]
    Registry(#[from] LogError),
}

impl Discovery {
    /// Discovers until it is dropped.
    pub(super) async fn run(&self) {
        // Side by side: one after the other, each app would wait for the slowest list.
        join_all(self.apps.iter().map(|app| self.run_app(app))).await;
    }

    async fn run_app(&self, app: &DiscoveredApp) {
        let Some(every) = app.settings.every else { return };
        let (mut pause, mut reported) = (FIRST_AFTER.min(every), None);
        loop {
            tokio::time::sleep(pause).await;
            pause = match self.discover(app, DiscoveryOrder::default(), &CancellationToken::new()).await {
                Ok(plan) => {
                    app.report(&plan, &mut reported);
                    every
                }
                Err(error) => {
                    let (app, error) = (app.client.app_id(), text::with_causes(&error));
                    tracing::warn!(%app, %error, "promoters can't be discovered: those that are registered stay as they are");
                    // What failed may have been a moment's, and the interval may be a day.
                    every.min(AGAIN_AFTER)
                }
            };
        }
    }

    /// Reads the list of an app, then what is registered, and writes what that comes to. The registry is read last, so that what an
    /// operator has said meanwhile is seen. `give_up` ends the waiting for the list, which goes on until there is an answer.
    ///
    /// # Errors
    /// [`DiscoveryError`]; nothing is written then, or part of it.
    pub async fn discover(
        &self,
        app: &DiscoveredApp,
        order: DiscoveryOrder,
        give_up: &CancellationToken,
    ) -> Result<DiscoveryPlan, DiscoveryError> {
        let list = app.client.promoter_list(give_up).await.map_err(DiscoveryError::List)?;
        let list = app.discovery_list(list);
        let table = self.topic.read(app.client.app_id().clone()).await?;
        let limit = match order.removes_all {
            true => RemovalLimit::Unlimited,
            false => RemovalLimit::Percent(app.settings.remove_max),
        };
        let plan = DiscoveryPlan::new(&list, &table, limit);
        if !order.dry_run && !plan.writes.is_empty() {
            self.topic.write(plan.writes.clone()).await?;
        }
        Ok(plan)
    }
}

impl DiscoveredApp {
    /// An id that can't be a promoter's names nobody.
    fn discovery_list(&self, list: PromoterList) -> DiscoveryList {
        let mut discovered =
            DiscoveryList { unreadable: list.unreadable, is_cut: list.is_cut, ..DiscoveryList::default() };
        for (promoter_id, listed) in list.listed {
            match Promoter::new(self.client.app_id(), &promoter_id) {
                Ok(promoter) => {
                    let (is_authorised, tags) = (listed.is_authorised, self.settings.tags_of(&listed));
                    discovered.listed.insert(promoter, Listed { is_authorised, tags });
                }
                Err(_) => discovered.unreadable += 1,
            }
        }
        discovered
    }

    /// Says what has changed, and who stays though he is missing: that once, until it is another number.
    fn report(&self, plan: &DiscoveryPlan, reported: &mut Option<(HeldBack, usize)>) {
        let app = self.client.app_id();
        let DiscoveryCounts { listed, found, parked, resumed, removed, held_back, unreadable, .. } = plan.counts;
        if plan.writes.is_empty() {
            tracing::debug!(%app, listed, "the upstream's list of promoters is as before");
        } else {
            tracing::info!(%app, listed, found, parked, resumed, removed, "promoters are discovered");
        }
        let held = plan.held_back_by.map(|why| (why, held_back));
        if held == std::mem::replace(reported, held) {
            return;
        }
        match plan.held_back_by {
            Some(HeldBack::Limit) => tracing::warn!(
                %app, listed, missing = held_back,
                "more promoters are missing from the upstream's list than discover_remove_max lets go at once: they are polled on; \
                 if they are to go, run promoters discover --remove"
            ),
            Some(HeldBack::Empty) => tracing::warn!(
                %app, missing = held_back,
                "the upstream's list of promoters is empty: those that were found are polled on; promoters remove takes them away"
            ),
            Some(HeldBack::Unreadable) => tracing::warn!(
                %app, listed, unreadable, missing = held_back,
                "rows of the upstream's list name no promoter: nobody is removed by it"
            ),
            Some(HeldBack::Cut) => tracing::warn!(
                %app, listed, missing = held_back,
                "the upstream's list of promoters ends before all are listed: nobody is removed by it"
            ),
            None => {}
        }
    }
}

impl DiscoverySettings {
    fn tags_of(&self, listed: &ListedPromoter) -> Tags {
        let tags = self.tags.iter().filter_map(|tag| Some((tag.name(), tag.text(listed)?)));
        const { assert!(DiscoveryTag::ALL.len() <= TAGS_MAX) };
        Tags::new(tags).expect("no more than are allowed, each with a name, of texts that `text` has kept short")
    }
}
