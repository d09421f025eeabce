//! The commands that look at brokers and upstream, on real ones.

use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::harness::apicurio::Apicurio;
use crate::harness::case::Case;
use crate::harness::connector::BINARY;
use crate::harness::context::Context;

mod check;
mod explain;
mod rewind;
mod schemas;
mod status;
mod tail;
mod topics;
mod verify;
mod whereabouts;

pub(super) use status::ledger_sums;

pub const CASES: &[Case] = &[
    Case::shared(
        "commands: check: a start that would work is told so, before the first and beside a running one",
        check::sound,
    ),
    Case::shared(
        "commands: check: who is registered is counted, and an app is asked about him where the configuration names nobody",
        check::registered,
    ),
    Case::shared("commands: check: everything that would stop a start is told at once", check::all_at_once),
    Case::shared("commands: check: a state that is another connector's is told", check::another_connector),
    Case::secured("commands: check: rights that are missing are named together", check::rights),
    Case::shared(
        "commands: topics: what is missing is planned and made, and what differs told with its mend",
        topics::made,
    ),
    Case::shared("commands: schemas: a real registry has what is registered, and takes no other", schemas::registered)
        .with(&[Apicurio::available]),
    Case::shared("commands: tail: records are shown as they are committed, and it ends in order", tail::shown),
    Case::shared(
        "commands: status: the progress of all is told while no instance runs",
        status::told_without_instances,
    ),
    Case::shared(
        "commands: status: days are complete as the ledger says, over a kill, with what the upstream has shown",
        status::days_are_complete,
    ),
    Case::shared(
        "commands: explain: why a promoter stands still is told, whether an instance runs or not",
        explain::each_reason,
    ),
    Case::shared(
        "commands: rewind: what is remembered comes once, and the cursor goes back once",
        rewind::within_the_memory,
    ),
    Case::shared(
        "commands: rewind: beyond the memory it is refused, or exactly what was forgotten comes again",
        rewind::beyond_the_memory,
    ),
    Case::shared("commands: rewind: what lay before the start comes, and nothing twice", rewind::before_the_start),
    Case::shared(
        "commands: where: an order is found in the topics or at the upstream, with its place or why it is in none",
        whereabouts::each_fate,
    ),
    Case::shared("commands: verify: gaps, doubles and strangers are found, and nothing else", verify::differences),
];

/// What a command said.
struct Answer {
    code: Option<i32>,
    shown: String,
    told: String,
}

impl Answer {
    fn of(output: Output) -> Result<Answer> {
        let (shown, told) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        Ok(Answer { code: output.status.code(), shown, told })
    }

    fn must_end_with(self, code: i32) -> Result<Answer> {
        ensure!(self.code == Some(code), "it ends with {:?}, not with {code}:\n{}{}", self.code, self.shown, self.told);
        Ok(self)
    }

    fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.shown).with_context(|| self.shown.clone())
    }
}

fn command(context: &Context, config: &str, arguments: &[&str]) -> Result<Command> {
    let file = context.directory().join("command.toml");
    std::fs::write(&file, config)?;
    let mut command = Command::new(BINARY);
    command.args(arguments).arg("--config").arg(file).current_dir(context.directory());
    Ok(command)
}

fn answer(context: &Context, config: &str, arguments: &[&str]) -> Result<Answer> {
    Answer::of(command(context, config, arguments)?.output().context("the command does not start")?)
}

/// All that a command says that ends with `code`.
pub(in crate::broker) fn told(context: &Context, config: &str, arguments: &[&str], code: i32) -> Result<String> {
    let Answer { shown, told, .. } = answer(context, config, arguments)?.must_end_with(code)?;
    Ok(shown + &told)
}
