//! The named places at which tests kill the process.
//!
//! In an ordinary build [`reach`] does nothing. With the feature `crash-points` the environment variable
//! `PROMOTER_CRASH_AT=<name>[:<n>]` makes the process kill itself, without any clean-up, when it reaches that place
//! for the n-th time (the first by default).

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CrashPoint {
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
    CommandsFenced,
    /// It is read how far requests are answered; none is read yet.
    ProgressRead,
    /// Answers are there, their transaction is not begun.
    Answered,
}

impl CrashPoint {
    /// Those of the polls, in their order.
    pub const POLLS: [CrashPoint; 7] = [
        CrashPoint::Fenced,
        CrashPoint::Restored,
        CrashPoint::Planned,
        CrashPoint::RecordsSent,
        CrashPoint::RecordsAcknowledged,
        CrashPoint::OffsetsSent,
        CrashPoint::Committed,
    ];

    /// Those of the requests for material, in their order. The transaction is the same as that of the polls.
    pub const COMMANDS: [CrashPoint; 7] = [
        CrashPoint::CommandsFenced,
        CrashPoint::ProgressRead,
        CrashPoint::Answered,
        CrashPoint::RecordsSent,
        CrashPoint::RecordsAcknowledged,
        CrashPoint::OffsetsSent,
        CrashPoint::Committed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            CrashPoint::Fenced => "fenced",
            CrashPoint::FencesWritten => "fences_written",
            CrashPoint::Restored => "restored",
            CrashPoint::Planned => "planned",
            CrashPoint::RecordsSent => "records_sent",
            CrashPoint::RecordsAcknowledged => "records_acknowledged",
            CrashPoint::OffsetsSent => "offsets_sent",
            CrashPoint::Committed => "committed",
            CrashPoint::CommandsFenced => "commands_fenced",
            CrashPoint::ProgressRead => "progress_read",
            CrashPoint::Answered => "answered",
        }
    }
}

#[cfg(not(feature = "crash-points"))]
pub fn reach(_point: CrashPoint) {}

#[cfg(feature = "crash-points")]
pub fn reach(point: CrashPoint) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static WANTED: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let text = std::env::var("PROMOTER_CRASH_AT").ok()?;
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
