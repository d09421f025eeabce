//! What views and changes of the registry rest on: where it stands, and whom the configuration itself names.

use super::ChangeError;
use crate::avro::schema_registry::SchemaRegistrySettings;
use crate::kafka::client::settings::Settings;
use crate::model::feed_set::FeedSet;
use crate::model::promoter::{AppId, Promoter};
use crate::registry::table::ConfiguredPromoter;

#[derive(Clone, Debug)]
pub struct ChangeSettings {
    pub kafka: Settings,
    pub schema_registry: Option<SchemaRegistrySettings>,
    /// At least one, each once.
    pub apps: Vec<RegisteringApp>,
}

/// An app for which promoters can be registered.
#[derive(Clone, Debug)]
pub struct RegisteringApp {
    pub app_id: AppId,
    /// What is polled for a promoter of whom nothing else is said.
    pub feeds: FeedSet,
    /// Those that the configuration names, each once.
    pub promoters: Vec<(Promoter, ConfiguredPromoter)>,
}

impl RegisteringApp {
    /// The promoter's among `apps`.
    pub(super) fn of<'a>(apps: &'a [RegisteringApp], promoter: &Promoter) -> Option<&'a RegisteringApp> {
        apps.iter().find(|app| app.app_id.is_of(promoter))
    }

    /// # Errors
    /// [`ChangeError::Unknown`] where the promoter's app is none of `apps`.
    pub(super) fn refuse_unknown(apps: &[RegisteringApp], promoter: &Promoter) -> Result<(), ChangeError> {
        let unknown = || ChangeError::Unknown(format!("app {} is not configured here", promoter.app_id()));
        RegisteringApp::of(apps, promoter).map(drop).ok_or_else(unknown)
    }
}
