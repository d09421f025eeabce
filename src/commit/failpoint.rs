//! The named places at which tests kill the process.
//!
//! In a release build [`reach`] does nothing. In a debug build, which the tests are made with, the environment variable
//! `PROMOTER_FAILPOINT=<name>[:<n>]` makes the process kill itself, without any clean-up, when it reaches that place
//! for the n-th time (the first by default).

/// A place at which a test may kill the process: between two steps that must not be half done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failpoint {
    /// Earlier writers are fenced, nothing is read yet.
    Fenced,
    /// The fences are written, and not yet compared with those of others.
    FencesWritten,
    /// The state is read, nothing is polled yet.
    Restored,
    /// A batch is planned, its transaction not begun.
    Planned,
    /// The transaction has begun, and some of its records may have been sent.
    RecordsSent,
    /// All records are acknowledged, the offsets not yet sent.
    RecordsAcknowledged,
    /// The offsets are sent, the commit not yet.
    OffsetsSent,
    /// The broker has committed; nobody here knows it yet.
    Committed,
    /// Earlier writers of replies are fenced; how far requests are answered is not asked yet.
    RequestsFenced,
    /// It is read how far requests are answered; none is read yet.
    ProgressRead,
    /// Answers are there, their transaction is not begun.
    Answered,
}

/// For tests that kill at each of them.
#[cfg(any(test, debug_assertions, feature = "testing"))]
impl Failpoint {
    /// Those of the polls, in their order.
    pub const POLLS: [Failpoint; 7] = [
        Failpoint::Fenced,
        Failpoint::Restored,
        Failpoint::Planned,
        Failpoint::RecordsSent,
        Failpoint::RecordsAcknowledged,
        Failpoint::OffsetsSent,
        Failpoint::Committed,
    ];

    /// Those of the requests for material, in their order. The transaction is the same as that of the polls.
    pub const REQUESTS: [Failpoint; 7] = [
        Failpoint::RequestsFenced,
        Failpoint::ProgressRead,
        Failpoint::Answered,
        Failpoint::RecordsSent,
        Failpoint::RecordsAcknowledged,
        Failpoint::OffsetsSent,
        Failpoint::Committed,
    ];
}

impl Failpoint {
    /// As the environment variable names it.
    pub fn name(self) -> &'static str {
        match self {
            Failpoint::Fenced => "fenced",
            Failpoint::FencesWritten => "fences_written",
            Failpoint::Restored => "restored",
            Failpoint::Planned => "planned",
            Failpoint::RecordsSent => "records_sent",
            Failpoint::RecordsAcknowledged => "records_acknowledged",
            Failpoint::OffsetsSent => "offsets_sent",
            Failpoint::Committed => "committed",
            Failpoint::RequestsFenced => "requests_fenced",
            Failpoint::ProgressRead => "progress_read",
            Failpoint::Answered => "answered",
        }
    }
}

#[cfg(not(debug_assertions))]
pub(crate) fn reach(_point: Failpoint) {}

#[cfg(debug_assertions)]
pub(crate) fn reach(point: Failpoint) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static WANTED: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let text = std::env::var("PROMOTER_FAILPOINT").ok()?;
        let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), count.parse().ok()?))
    });
    static REACHED: AtomicU64 = AtomicU64::new(0);

    let Some((name, count)) = &*WANTED else { return };
    if name == point.name() && REACHED.fetch_add(1, Ordering::SeqCst) + 1 == *count {
        // As kill -9 would: no destructor runs, no buffer is flushed.
        std::process::abort();
    }
}
