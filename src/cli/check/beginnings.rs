//! Whether the feeds may begin where they should, where every one would begin with the start.

use super::finding::{Finding, Verdict};
use crate::clock;
use crate::model::age::AgeLimits;
use crate::model::feed::PerFeed;
use crate::model::state::Cursors;
use crate::session::{AppSettings, too_early};

/// Of each app the first promoter who may not.
pub fn findings(apps: &[AppSettings], limits: &AgeLimits) -> Vec<Finding> {
    let now = PerFeed::of_each(clock::now().as_seconds());
    let of_app = |app: &AppSettings| {
        let mut polled = app.promoters.iter().map(|(promoter, configured)| {
            app.feeds.polled_for(promoter.clone(), configured.feeds, configured.start_from)
        });
        let reason = polled.find_map(|promoter| too_early(&promoter, Cursors::default(), limits, &now))?;
        Some(Finding::new(app.client.app_id.as_str(), Verdict::Wrong, reason))
    };
    apps.iter().filter_map(of_app).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::model::age::AgeLimit;
    use crate::model::feed::PerEventTopic;

    #[test]
    fn a_start_that_the_topic_would_not_keep_is_told_once_for_each_app() {
        let text = "kafka.\"bootstrap.servers\" = \"a:1\"\n[[apps]]\napp_id = \"wx1\"\nsecret = \"s\"\n\
                    promoters = [\"oA\", \"oB\"]\nfeeds.touches.start_from = \"earliest\"\n";
        let apps = Config::parse(text, Path::new("connector.toml"), &|_| None).unwrap().apps;
        let limit =
            AgeLimit { seconds: 86_400, set_by: "topic t keeps no records longer".into(), consequence: "gone".into() };
        let found = findings(&apps, &AgeLimits(PerEventTopic::new(|_| vec![limit.clone()])));
        let [told] = &found[..] else { panic!("{found:?}") };
        assert_eq!((told.subject.as_str(), told.verdict), ("wx1", Verdict::Wrong));
        assert!(told.text.starts_with("the touches of wx1/oA begin at 2021-12-31T16:00:00Z"), "{told:?}");
        assert_eq!(findings(&apps, &AgeLimits(PerEventTopic::new(|_| Vec::new()))), []);
    }
}
