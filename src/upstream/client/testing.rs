//! The settings of an app that tests call the upstream for, and what only they ask its client.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Client, ClientSettings};
use crate::model::promoter::{AppId, IdKind};
use crate::retry::{JITTER, RetrySettings};
use crate::upstream::breaker::BreakerSettings;
use crate::upstream::token::TokenSource;
use crate::upstream::wire::Oddities;

impl Client {
    /// What was odd about the rows of all pages since the process began.
    pub fn oddities(&self) -> Oddities {
        self.oddities.total()
    }
}

impl ClientSettings {
    /// Of the app `app_id`, with one host and without budgets. A test names what it is about, and leaves the rest.
    ///
    /// # Panics
    /// Where that is no app id.
    pub fn for_tests(app_id: &str) -> ClientSettings {
        ClientSettings {
            app_id: AppId::new(app_id).expect("tests know what an app id is"),
            id_kind: IdKind::OpenId,
            base_url: "http://upstream".into(),
            spare_urls: Vec::new(),
            token_source: TokenSource::Stable("secret".into()),
            retry: RetrySettings {
                initial: Duration::from_millis(200),
                max: Duration::from_secs(30),
                attempts: 3,
                jitter: JITTER,
            },
            breakers: BreakerSettings {
                too_fast: Duration::from_secs(60),
                stopped: Duration::from_secs(300),
                unanswered: Duration::from_secs(30),
            },
            budgets: BTreeMap::new(),
            in_flight: 4,
        }
    }
}
