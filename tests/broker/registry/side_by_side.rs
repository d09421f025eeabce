//! Commands that change the same promoters at the same moment.

use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use serde_json::json;

use super::{OtherWriter, PARTITIONS, listed, partition_of, prepare, shown};
use crate::broker::world::BOUND;
use crate::harness::connector::BINARY;
use crate::harness::context::Context;
use crate::harness::process::Process;

/// What the command says that has written over another's change.
const WRITTEN_OVER: &str = "over what somebody else wrote at the same moment of";
const PROMOTERS: usize = 30;
/// Two that are started together overtake each other in most of them.
const ROUNDS_MAX: usize = 20;

/// Each change holds, or a command has said that it does not.
pub fn overwritten_changes_are_told(context: &Context) -> Result<()> {
    prepare(context, "")?;
    let ids: Vec<String> = (0..PROMOTERS).map(|number| format!("o{number:02}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    shown(context, &[&["add"], &ids[..]].concat())?;
    for round in 0..ROUNDS_MAX {
        let tag = format!("round={round}");
        let tagging = start(context, &format!("tag-{round}"), &[&["add", "--tag", &tag], &ids[..]].concat())?;
        let pauses = round % 2 == 0;
        let word = if pauses { "pause" } else { "resume" };
        let pausing = start(context, &format!("{word}-{round}"), &[&[word], &ids[..]].concat())?;
        let ends = [tagging.wait_exit(BOUND)?, pausing.wait_exit(BOUND)?];
        let told = [tagging.errors()?, pausing.errors()?];
        let has_told = told.iter().filter(|told| told.contains(WRITTEN_OVER)).count();
        ensure!(ends.iter().filter(|end| !end.success()).count() == has_told, "{ends:?}: {told:?}");
        if has_told > 0 {
            return told_by_one(context, ends, &told);
        }
        for (id, row) in listed(context)?.into_iter().filter(|(id, _)| ids.contains(&id.as_str())) {
            let holds =
                row["tags"]["value"] == json!({"round": round.to_string()}) && (row["state"] == "paused") == pauses;
            ensure!(holds, "{id}: both have ended well, and one of the changes is gone: {row}");
        }
    }
    anyhow::bail!("in {ROUNDS_MAX} rounds no command has overtaken another")
}

/// A record in another partition than its key's has never held, so nothing was written over.
pub fn strays_are_not_written_over(context: &Context) -> Result<()> {
    let topic = prepare(context, "")?;
    let (other, key) = (OtherWriter::plain(context, &topic)?, "wx1/o00");
    let elsewhere = (partition_of(key)? + 1) % PARTITIONS;
    shown(context, &["add", "o00"])?;
    let are_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let strays = scope.spawn(|| -> Result<u64> {
            let mut strays = 0;
            while !are_done.load(Ordering::Relaxed) {
                other.put(key, elsewhere, ",\"paused\":true")?;
                strays += 1;
            }
            Ok(strays)
        });
        let commands =
            (0..4).try_for_each(|round| shown(context, &["add", "--tag", &format!("round={round}"), "o00"]).map(drop));
        are_done.store(true, Ordering::Relaxed);
        let strays = strays.join().map_err(|_| anyhow::anyhow!("the other writer has panicked"))??;
        commands?;
        ensure!(strays >= 4, "there were some beside the commands: {strays}");
        Ok(())
    })
}

/// One of both has written over the other's change, names the promoters, and ends with 1.
fn told_by_one(context: &Context, ends: [ExitStatus; 2], told: &[String; 2]) -> Result<()> {
    let list = listed(context)?;
    let (index, words) = if told[0].contains(WRITTEN_OVER) { (0, &told[0]) } else { (1, &told[1]) };
    ensure!(ends[index].code() == Some(1), "{}", ends[index]);
    ensure!(words.contains("wx1/o"), "it names some: {words}");
    ensure!(list.len() == PROMOTERS + 1, "all are registered: {}", list.len());
    // Alone, the same command again is done at once, or finds nothing to do.
    shown(context, &["add", "--tag", "after=all", "o00"])?;
    shown(context, &["pause", "o00"])?;
    let row = &listed(context)?["o00"];
    ensure!(row["tags"]["value"] == json!({"after": "all"}) && row["state"] == "paused", "{row}");
    Ok(())
}

fn start(context: &Context, name: &str, arguments: &[&str]) -> Result<Process> {
    let mut command = Command::new(BINARY);
    command.arg("promoters").args(arguments).args(["--config", "connector.toml"]);
    Process::start(name, &command, context.directory())
}
