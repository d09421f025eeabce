//! Who would be polled: whom the configuration names, and whom the registry does.

use std::time::{Duration, Instant};

use super::finding::{Finding, Verdict};
use crate::avro::schema_registry::SchemaRegistrySettings;
use crate::changes::registry_view::{RegistryView, configured};
use crate::changes::settings::{ChangeSettings, RegisteringApp};
use crate::kafka::client::settings::Settings;
use crate::kafka::registry_topic::reader::RegistryReadError;
use crate::registry::table::{EffectivePromoter, PromoterTable};
use crate::session::{AppSettings, PolledPromoter};
use crate::text::{self, counted};

const SUBJECT: &str = "registry";

/// Everybody who is known, with what is told of them.
pub struct CheckedFleet {
    table: PromoterTable,
}

impl CheckedFleet {
    /// Those of the configuration, and those of the registry topic where that can be read within `timeout`.
    pub async fn read(
        apps: &[AppSettings],
        kafka: Settings,
        schema_registry: Option<SchemaRegistrySettings>,
        timeout: Duration,
    ) -> (CheckedFleet, Option<Finding>) {
        let settings = ChangeSettings { kafka, schema_registry, apps: registering(apps) };
        let began = Instant::now();
        let reading = tokio::task::spawn_blocking(move || RegistryView::read(settings, began + timeout));
        match reading.await.unwrap_or_else(|error| Err(error.into())) {
            Ok(view) => {
                let finding = of_registry(&view).took(began.elapsed());
                (CheckedFleet { table: view.table }, Some(finding))
            }
            Err(error) => {
                // Before the first start there is none.
                let is_missing = matches!(error.downcast_ref(), Some(RegistryReadError::Missing(_)));
                let finding = (!is_missing).then(|| unread(&text::with_causes(&*error)));
                (CheckedFleet::configured(apps), finding)
            }
        }
    }

    /// Those of the configuration alone.
    pub fn configured(apps: &[AppSettings]) -> CheckedFleet {
        CheckedFleet { table: configured(&registering(apps)) }
    }

    /// What would be polled of the app.
    pub fn polled<'a>(&'a self, app: &'a AppSettings) -> impl Iterator<Item = PolledPromoter> + 'a {
        let of_app = self.table.iter().filter(|(promoter, _)| app.client.app_id.is_of(promoter));
        of_app.filter_map(|(promoter, merged)| {
            let EffectivePromoter { feeds, start_from, is_paused } = merged.effective();
            (!is_paused).then(|| app.feeds.polled_for(promoter.clone(), feeds, start_from))
        })
    }
}

/// What the registry is read with for these apps.
fn registering(apps: &[AppSettings]) -> Vec<RegisteringApp> {
    let registering = |app: &AppSettings| RegisteringApp {
        app_id: app.client.app_id.clone(),
        feeds: app.feeds.names(),
        promoters: app.promoters.clone(),
    };
    apps.iter().map(registering).collect()
}

fn unread(error: &str) -> Finding {
    Finding::new(
        SUBJECT,
        Verdict::Warning,
        format!("it can't be read, so only the configuration's promoters are counted: {error}"),
    )
}

fn of_registry(view: &RegistryView) -> Finding {
    let (mut all, mut paused, mut strange) = (0, 0, 0);
    for (promoter, merged) in view.table.iter() {
        all += 1;
        paused += u64::from(merged.is_paused.value);
        strange += u64::from(!view.is_of_configured_app(promoter));
    }
    let mut text = format!("with the configuration {}", counted(all, "promoter"));
    if paused > 0 {
        text += &format!(", {paused} paused");
    }
    if strange > 0 {
        text += &format!(", {strange} of apps that are not configured here");
    }
    match view.unreadable.count() {
        0 => Finding::new(SUBJECT, Verdict::Sound, text),
        unreadable => {
            let records = counted(unreadable as u64, "record");
            let text = format!("{text}; {records} of topic {} can't be read", view.settings.kafka.topics.registry);
            Finding::new(SUBJECT, Verdict::Warning, text).fixed_by("promoters list names them, and what to do")
        }
    }
}
