use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::commit::log::{CommitError, Opened};
use crate::commit::pace::BatchBounds;
use crate::model::batch::Batch;
use crate::retry::PATIENCE;
use crate::session::PollPipeline;

/// A log that can't be opened.
struct Unreachable;

impl CommitLog for Unreachable {
    type Opened = Opened;
    type Batch = Batch;

    async fn open(&mut self) -> Result<Opened, OpenError> {
        Err(OpenError::Again("nobody answers".into()))
    }

    async fn commit(&mut self, _: Arc<Batch>) -> Result<(), CommitError> {
        unreachable!("it was never opened")
    }

    async fn release(&mut self) {}
}

fn pipeline() -> PollPipeline {
    PollPipeline {
        apps: Arc::default(),
        bounds: BatchBounds { linger: Duration::ZERO, events_max: 1, bytes_max: 1 },
        queue_bytes: 1,
        totals: Arc::default(),
        forget: Duration::from_secs(30 * 86_400),
        discovery: None,
        registrations: Arc::default(),
        shares: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_can_not_be_opened_is_opened_again_for_days_and_says_so() {
    let (pipeline, stop) = (pipeline(), CancellationToken::new());
    let looking = async {
        tokio::time::sleep(Duration::from_secs(2 * 24 * 3600)).await;
        let health = pipeline.totals.health.snapshot();
        stop.cancel();
        health
    };
    let (ended, health) = tokio::join!(run(&pipeline, || Unreachable, &stop, PATIENCE), looking);
    assert_eq!(ended, Ok(()));
    assert_eq!(health.trouble.map(|trouble| trouble.error), Some("nobody answers".to_owned()));
    assert!(health.is_alive);
}

/// One that is owned only after an hour, and can't be read when it is owned for the first time.
struct Standby(bool);

impl CommitLog for Standby {
    type Opened = Opened;
    type Batch = Batch;

    async fn open(&mut self) -> Result<Opened, OpenError> {
        if self.0 {
            return Err(OpenError::Stop("taken over".into()));
        }
        self.0 = true;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        Err(OpenError::Again("its offsets are still held open".into()))
    }

    async fn commit(&mut self, _: Arc<Batch>) -> Result<(), CommitError> {
        unreachable!("it was never opened")
    }

    async fn release(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn waiting_for_something_to_own_is_no_failure() {
    let ended = run(&pipeline(), || Standby(false), &CancellationToken::new(), PATIENCE).await;
    assert_eq!(ended, Err(GivenUp::Failed("taken over".into())), "it was tried again");
}

/// A log that does not take a setting.
struct Narrow;

impl CommitLog for Narrow {
    type Opened = Opened;
    type Batch = Batch;

    async fn open(&mut self) -> Result<Opened, OpenError> {
        Err(OpenError::Unfit("too long".into()))
    }

    async fn commit(&mut self, _: Arc<Batch>) -> Result<(), CommitError> {
        unreachable!("it was never opened")
    }

    async fn release(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn a_setting_that_a_log_never_takes_is_a_fault_of_the_configuration() {
    let ended = run(&pipeline(), || Narrow, &CancellationToken::new(), PATIENCE).await;
    assert_eq!(ended, Err(GivenUp::Unfit("too long".into())));
}

/// Counts how often it was asked for a summary, and for its last word.
#[derive(Default)]
struct CountedPipeline {
    summaries: AtomicU64,
    ends: AtomicU64,
    health: PipelineHealth,
}

impl Pipeline<Standby> for CountedPipeline {
    const PIPELINE: &'static str = "asked";

    fn begins(&self, _: &Opened, _: u64) {}

    async fn run(&self, _: Standby, _: Opened, _: &CancellationToken) -> (Option<Standby>, Ended) {
        unreachable!("the log is never opened")
    }

    fn health(&self) -> &PipelineHealth {
        &self.health
    }

    fn summarise(&self) {
        self.summaries.fetch_add(1, Ordering::Relaxed);
    }

    fn say_stopped(&self) {
        self.ends.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn each_minute_has_its_summary_also_while_the_log_is_not_open() {
    let (asked, stop) = (CountedPipeline::default(), CancellationToken::new());
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(30 * 60 + 1)).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(run(&asked, || Standby(false), &stop, PATIENCE), stopping);
    assert_eq!(ended, Ok(()));
    assert_eq!((asked.summaries.into_inner(), asked.ends.into_inner()), (30, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_first_opening_ends_in_order() {
    let stop = CancellationToken::new();
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.cancel();
    };
    let pipeline = pipeline();
    let (ended, ()) = tokio::join!(run(&pipeline, || Unreachable, &stop, PATIENCE), stopping);
    assert_eq!(ended, Ok(()));
}
