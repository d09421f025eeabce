//! The process dies, at any named place and at any other, and starts again: no request stays without an answer, and
//! none gets two.

use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use promoter_connector::commit::failpoint::Failpoint;

use super::answers::Answers;
use super::judge::judge;
use super::requests::put;
use super::{config, prepare};
use crate::broker::world::{BOUND, TAKEN};
use crate::harness::context::Context;

const SIGABRT: i32 = 6;
const REQUESTS: usize = 2000;
const KILLS: usize = 20;
/// How many answers come between a start and its kill.
const BETWEEN_KILLS: usize = 40;
/// For one named place.
const FEW_REQUESTS: usize = 300;

pub fn killed_twenty_times(context: &Context) -> Result<()> {
    let simulator = prepare(context, "100ms")?;
    let config = config(context, "one", &simulator, "");
    put(context, 0..REQUESTS)?;
    let mut answers = Answers::open(context)?;
    for kill in 0..KILLS {
        let connector = context.connector("one", &config, &[])?;
        connector.wait_logged(TAKEN, kill + 1, BOUND)?;
        answers.wait_for_more(BETWEEN_KILLS, &[&connector])?;
        // The moments are spread evenly over a few transactions.
        thread::sleep(Duration::from_millis(kill as u64 * 37 % 50));
        connector.kill9()?;
    }
    ensure!(answers.count() < REQUESTS - BETWEEN_KILLS, "the last kill came too late, after {}", answers.count());
    let connector = context.connector("one", &config, &[])?;
    answers.wait_for(REQUESTS, &[&connector])?;
    ensure!(connector.terminate()?.success(), "it ends in order");
    judge(context, REQUESTS)
}

/// By the place in [`Failpoint::REQUESTS`]: cases are plain functions. Nobody is polled, so nothing else is committed.
pub fn crash_at<const POINT: usize>(context: &Context) -> Result<()> {
    let point = Failpoint::REQUESTS[POINT];
    let simulator = prepare(context, "100ms")?;
    let config = config(context, "one", &simulator, "").replace("promoters = [\"oSimulated000001\"]", "promoters = []");
    put(context, 0..FEW_REQUESTS)?;
    let mut answers = Answers::open(context)?;

    // Some are answered first, behind others that are not; then a start that does not survive.
    let first = context.connector("one", &config, &[])?;
    answers.wait_for(BETWEEN_KILLS, &[&first])?;
    first.kill9()?;
    let at = match point {
        Failpoint::RequestsFenced | Failpoint::ProgressRead => format!("{}:1", point.name()),
        _ => format!("{}:3", point.name()),
    };
    let second = context.connector("one", &config, &[("PROMOTER_FAILPOINT", &at)])?;
    let end = second.wait_exit(BOUND)?;
    ensure!(end.signal() == Some(SIGABRT), "{at}: the process was to die there, and ended with {end}");

    let third = context.connector("one", &config, &[])?;
    answers.wait_for(FEW_REQUESTS, &[&third])?;
    ensure!(third.terminate()?.success(), "it ends in order");
    judge(context, FEW_REQUESTS)
}
