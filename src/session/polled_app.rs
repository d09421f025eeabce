//! An app: as it is configured, and as it is polled.

use std::sync::Arc;
use std::time::Duration;

use super::app_feeds::AppFeeds;
use super::begin_times::BeginTimes;
use super::configured::ConfiguredPromoters;
use super::discovery::DiscoverySettings;
use crate::model::promoter::{AppId, Promoter};
use crate::poll::reports::Reports;
use crate::registry::table::ConfiguredPromoter;
use crate::upstream::client::{Client, ClientSettings};

/// An app as it is configured.
#[derive(Clone, Debug)]
pub(crate) struct AppSettings {
    pub client: ClientSettings,
    pub feeds: AppFeeds,
    pub promoters: Vec<(Promoter, ConfiguredPromoter)>,
    /// How long a promoter with a permanent error is left alone.
    pub parked_for: Duration,
    /// How far apart the cursors of a backfill may be.
    pub catch_up_spread: Duration,
    pub discovery: DiscoverySettings,
}

/// An app with its client and whom to poll for it.
pub struct PolledApp {
    pub app: AppId,
    pub client: Arc<Client>,
    pub feeds: AppFeeds,
    /// Those that the configuration names. The registry may name others, and say other things of these.
    pub promoters: ConfiguredPromoters,
    /// How long a promoter with a permanent error is left alone.
    pub parked_for: Duration,
    /// How far apart the cursors of a backfill may be.
    pub catch_up_spread: Duration,
    /// What its polls tell a report.
    pub reports: Arc<Reports>,
    /// Of those who had not begun when a session ended.
    pub(super) begin_times: BeginTimes,
}

impl PolledApp {
    /// A promoter with a permanent error is left alone for `parked_for`; in a backfill cursors keep within `catch_up_spread` of
    /// each other.
    pub fn new(
        client: Client,
        feeds: AppFeeds,
        promoters: Vec<(Promoter, ConfiguredPromoter)>,
        parked_for: Duration,
        catch_up_spread: Duration,
    ) -> PolledApp {
        let (app, client) = (client.app_id().clone(), Arc::new(client));
        PolledApp {
            app,
            client,
            feeds,
            promoters: promoters.into(),
            parked_for,
            catch_up_spread,
            reports: Arc::default(),
            begin_times: BeginTimes::default(),
        }
    }
}
