//! That facts are seen when their lateness is nearly over: what comes later is lost.

use std::collections::BTreeSet;

use crate::admin::causes::{LATENESS_NEARLY_USED, StatusCause};
use crate::telemetry::pipeline;

/// Whom it was told of: what each cause affects, which is a feed.
#[derive(Default)]
pub struct LatenessWarning(BTreeSet<String>);

impl LatenessWarning {
    /// Tells once of each that is at risk; anew where it was not meanwhile.
    pub fn look(&mut self, causes: &[StatusCause]) {
        let is_at_risk = |cause: &&StatusCause| cause.code == LATENESS_NEARLY_USED;
        let at_risk: Vec<&StatusCause> = causes.iter().filter(is_at_risk).collect();
        self.0.retain(|told| at_risk.iter().any(|cause| cause.affects == *told));
        for StatusCause { affects, text, action, .. } in at_risk {
            if self.0.insert(affects.clone()) {
                tracing::warn!(
                    pipeline = pipeline::POLLS,
                    affects,
                    told = text,
                    remedy = action,
                    "lateness nearly used"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::causes::Severity;
    use crate::telemetry::captured::Captured;

    fn cause(code: &'static str, affects: &str) -> StatusCause {
        StatusCause { affects: affects.into(), ..StatusCause::new(code, Severity::Note, "longer") }
    }

    #[test]
    fn each_feed_whose_facts_are_at_risk_is_warned_of_once_until_it_is_not_any_more() {
        let (captured, mut warning) = (Captured::start(), LatenessWarning::default());
        let told = || captured.events("lateness nearly used").len();
        warning.look(&[cause("lateness_half_used", "orders")]);
        assert_eq!(told(), 0, "half of it is to be known, and no more");
        let both = [cause(LATENESS_NEARLY_USED, "orders"), cause(LATENESS_NEARLY_USED, "touches")];
        warning.look(&both);
        warning.look(&both);
        assert_eq!(told(), 2);
        warning.look(&both[1..]);
        warning.look(&both);
        assert_eq!(told(), 3);
        let line = captured.events("lateness nearly used").remove(0);
        assert_eq!(
            (&line["level"], &line["affects"], &line["remedy"]),
            (&"WARN".into(), &"orders".into(), &"longer".into())
        );
    }
}
