//! Whoever reads the log, or does not, holds nothing up.

use std::io::pipe;

use anyhow::Result;
use rustix::io::ioctl_fionread;
use rustix::pipe::fcntl_setpipe_size;

use super::world::{PROMOTERS, SETTLE, lively};
use crate::harness::case::Case;
use crate::harness::connector::Connector;
use crate::harness::context::Context;

/// More than any pipe holds, within moments.
const LOUD: &str = "log = { level = \"trace\", format = \"json\" }\nkafka.debug = \"all\"";

pub const CASES: &[Case] = &[Case::shared(
    "log: facts are published though nobody reads the log",
    facts_are_published_though_nobody_reads_the_log,
)];

fn facts_are_published_though_nobody_reads_the_log(context: &Context) -> Result<()> {
    let simulator = lively(context, "5s")?;
    let config = context.config(simulator.url(), PROMOTERS, LOUD);
    let (reader, writer) = pipe()?;
    fcntl_setpipe_size(&writer, 4096)?;
    let connector = Connector::start_logging_to(context.directory(), "unread", &config, writer.into())?;
    context.settle(&simulator, SETTLE)?;
    assert!(ioctl_fionread(&reader)? > 3000, "the log was not full");
    assert_eq!(connector.terminate()?.code(), Some(0));
    Ok(())
}
