//! One thing that was looked at, and what was found.

use std::time::Duration;

use serde::Serialize;

use crate::commit::log::OpenError;
use crate::text;

/// What was found, by what it means for a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Sound,
    /// The start goes on; somebody should know.
    Warning,
    /// Somebody has to change something.
    Wrong,
    /// Nobody knows: who was asked gave no answer.
    Unanswered,
}

impl Verdict {
    pub fn sign(self) -> char {
        match self {
            Verdict::Sound => '✓',
            Verdict::Warning => '!',
            Verdict::Wrong | Verdict::Unanswered => '✗',
        }
    }

    /// Of the sign, as a terminal takes it.
    pub fn colour(self) -> &'static str {
        match self {
            Verdict::Sound => "32",
            Verdict::Warning => "33",
            Verdict::Wrong | Verdict::Unanswered => "31",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// A part of the configuration or of the brokers, or an app.
    pub subject: String,
    pub verdict: Verdict,
    pub text: String,
    /// What to do, where the text does not say it.
    pub fix: Option<String>,
    /// How long it took to find out.
    pub milliseconds: Option<u64>,
}

impl Finding {
    pub fn new(subject: impl Into<String>, verdict: Verdict, text: impl Into<String>) -> Finding {
        Finding { subject: subject.into(), verdict, text: text.into(), fix: None, milliseconds: None }
    }

    pub fn fixed_by(self, fix: impl Into<String>) -> Finding {
        Finding { fix: Some(fix.into()), ..self }
    }

    pub fn took(self, duration: Duration) -> Finding {
        Finding { milliseconds: u64::try_from(duration.as_millis()).ok(), ..self }
    }

    /// Each problem of an opening that has failed.
    pub fn of_opening(subject: &str, error: &OpenError) -> Vec<Finding> {
        let verdict = match error {
            OpenError::Again(_) => Verdict::Unanswered,
            OpenError::Unfit(_) | OpenError::Stop(_) => Verdict::Wrong,
        };
        text::with_causes(error).lines().map(|problem| Finding::new(subject, verdict, problem)).collect()
    }
}
