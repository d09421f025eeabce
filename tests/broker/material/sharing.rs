//! Several instances share the requests, and hand them over as they come and go.

use anyhow::{Result, ensure};

use super::answers::Answers;
use super::judge::judge;
use super::requests::put;
use super::{config, prepare};
use crate::broker::world::{BOUND, QUICK_GROUP, TAKEN};
use crate::harness::context::Context;

const REQUESTS: usize = 2000;
/// Answers between one change and the next.
const SOME: usize = 50;
/// What a dead or paused instance leaves open is ended soon.
const QUICK_TRANSACTIONS: &str = r#"kafka."transaction.timeout.ms" = 5000"#;

pub fn instances_and_a_zombie(context: &Context) -> Result<()> {
    // Slow enough that there is something to answer until the last change.
    let simulator = prepare(context, "400ms")?;
    let more = format!("{QUICK_GROUP}{QUICK_TRANSACTIONS}");
    let start = |instance| context.connector(instance, &config(context, instance, &simulator, &more), &[]);
    put(context, 0..REQUESTS / 2)?;
    let mut answers = Answers::open(context)?;

    let one = start("one")?;
    answers.wait_for_more(SOME, &[&one])?;
    let two = start("two")?;
    two.wait_logged(TAKEN, 1, BOUND)?;
    one.wait_logged(TAKEN, 2, BOUND)?;
    answers.wait_for_more(SOME, &[&one, &two])?;

    // A static member that ended in order is missed after its session; then everything is the other's.
    ensure!(one.terminate()?.success(), "it ends in order");
    two.wait_logged(TAKEN, 2, BOUND)?;
    answers.wait_for_more(SOME, &[&two])?;
    let one = start("one")?;
    one.wait_logged(TAKEN, 3, BOUND)?;
    two.wait_logged(TAKEN, 3, BOUND)?;
    answers.wait_for_more(SOME, &[&one, &two])?;

    // It stands still with calls and perhaps a transaction under way, and wakes up when its requests are the other's.
    two.stop()?;
    put(context, REQUESTS / 2..REQUESTS)?;
    one.wait_logged(TAKEN, 4, BOUND)?;
    answers.wait_for_more(SOME, &[&one])?;
    two.cont()?;
    two.wait_logged(TAKEN, 4, BOUND)?;
    ensure!(answers.count() < REQUESTS, "everything was answered before the zombie woke up");
    answers.wait_for(REQUESTS, &[&one, &two])?;
    for connector in [&one, &two] {
        ensure!(connector.terminate()?.success(), "it ends in order");
    }
    judge(context, REQUESTS)
}
