//! All that was found, for people or for programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::apps::{CheckedApp, SpentCalls};
use super::finding::{Finding, Verdict};
use crate::cli::stdout;
use crate::text::counted;

/// What a line begins with before its text: the sign and the subject.
const SUBJECT_WIDTH: usize = 15;
/// Where the times of short lines stand.
const TEXT_WIDTH: usize = 60;

#[derive(Debug)]
pub struct Report {
    findings: Vec<Finding>,
    /// By app.
    spent: BTreeMap<String, SpentCalls>,
}

#[derive(Serialize)]
struct JsonReport<'a> {
    findings: &'a [Finding],
    problems: usize,
    warnings: usize,
    calls: &'a BTreeMap<String, SpentCalls>,
    exit_code: u8,
}

impl Report {
    pub fn new(findings: Vec<Finding>) -> Report {
        Report { findings, spent: BTreeMap::new() }
    }

    pub fn add_app(&mut self, CheckedApp { app, findings, spent }: CheckedApp) {
        self.findings.extend(findings);
        self.spent.insert(app, spent);
    }

    /// 0 where a start would go on, 2 where somebody has to change something first, 1 where somebody gave no answer.
    pub fn exit_code(&self) -> u8 {
        match (self.count(Verdict::Wrong), self.count(Verdict::Unanswered)) {
            (0, 0) => 0,
            (0, _) => 1,
            _ => 2,
        }
    }

    /// # Errors
    /// Where it can't be written.
    pub fn print(&self, as_json: bool) -> anyhow::Result<()> {
        stdout::print(&if as_json { self.json()? } else { self.text(stdout::has_colours()) })
    }

    fn json(&self) -> anyhow::Result<String> {
        let report = JsonReport {
            findings: &self.findings,
            problems: self.problems(),
            warnings: self.count(Verdict::Warning),
            calls: &self.spent,
            exit_code: self.exit_code(),
        };
        Ok(serde_json::to_string(&report)? + "\n")
    }

    fn text(&self, has_colours: bool) -> String {
        let mut text: String = self.findings.iter().map(|finding| line(finding, has_colours)).collect();
        let calls: u64 = self.spent.values().map(|spent| spent.data).sum();
        text += &format!(
            "{}, {}; {} of quotas spent\n",
            counted(self.problems() as u64, "problem"),
            counted(self.count(Verdict::Warning) as u64, "warning"),
            counted(calls, "call"),
        );
        text
    }

    fn problems(&self) -> usize {
        self.count(Verdict::Wrong) + self.count(Verdict::Unanswered)
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }
}

fn line(Finding { subject, verdict, text, fix, milliseconds }: &Finding, has_colours: bool) -> String {
    let (sign, colour) = (verdict.sign(), verdict.colour());
    let sign = if has_colours { format!("\x1b[{colour}m{sign}\x1b[0m") } else { sign.to_string() };
    let mut line = format!("{sign} {subject:SUBJECT_WIDTH$}");
    line += &match milliseconds {
        Some(milliseconds) => format!("{text:TEXT_WIDTH$} {milliseconds:>6} ms\n"),
        None => format!("{text}\n"),
    };
    if let Some(fix) = fix {
        line += &format!("  {:SUBJECT_WIDTH$}fix: {fix}\n", "");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(verdicts: &[Verdict]) -> Report {
        Report::new(verdicts.iter().map(|verdict| Finding::new("kafka", *verdict, "text")).collect())
    }

    #[test]
    fn what_has_to_be_changed_is_told_by_2_and_what_gave_no_answer_by_1() {
        use Verdict::{Sound, Unanswered, Warning, Wrong};
        for (verdicts, exit_code) in [
            (&[Sound, Warning][..], 0),
            (&[Sound, Unanswered], 1),
            (&[Unanswered, Wrong], 2),
            (&[Warning, Wrong], 2),
            (&[], 0),
        ] {
            assert_eq!(report(verdicts).exit_code(), exit_code, "{verdicts:?}");
        }
    }

    #[test]
    fn a_finding_is_a_line_and_what_to_do_another() {
        let mut report = report(&[]);
        let sound = Finding::new("kafka", Verdict::Sound, "3 brokers").took(std::time::Duration::from_millis(12));
        let wrong = Finding::new("wx1", Verdict::Wrong, "errcode 40164: invalid ip").fixed_by("add it");
        report.findings = vec![sound, wrong];
        report.spent.insert("wx1".into(), SpentCalls { beside: 2, data: 1 });
        assert_eq!(
            report.text(false),
            [
                "✓ kafka          3 brokers                                                        12 ms\n",
                "✗ wx1            errcode 40164: invalid ip\n",
                "                 fix: add it\n",
                "1 problem, 0 warnings; 1 call of quotas spent\n",
            ]
            .concat()
        );
        assert!(report.text(true).starts_with("\x1b[32m✓\x1b[0m kafka"));
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!((&json["exit_code"], &json["problems"]), (&2.into(), &1.into()));
        assert_eq!((&json["findings"][1]["verdict"], &json["findings"][1]["fix"]), (&"wrong".into(), &"add it".into()));
        assert_eq!(json["calls"]["wx1"]["beside"], 2);
    }
}
