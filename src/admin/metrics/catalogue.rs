//! Every metric there is, with its labels. Names go without the prefix, and those of counters without `_total`, which the format
//! adds. Moments are told and not ages: how long ago they are is for the reader to tell, whose clock goes on.

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Gauge,
    Counter,
    Histogram,
}

/// A metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub kind: MetricKind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(
            pub static $constant: Metric =
                Metric { name: $name, kind: MetricKind::$kind, labels: &[$($label),*], help: $help };
        )+

        /// All of them, in the order in which they are told.
        pub static ALL: &[&Metric] = &[$(&$constant),+];
    };
}

metrics! {
    BUILD_INFO = Gauge "build_info" ["version", "commit"]
        "1, with what was built as labels.";
    START = Gauge "start_timestamp_seconds" []
        "When the process began.";
    OLDEST_COMPLETE = Gauge "feed_oldest_complete_timestamp_seconds" ["app", "feed"]
        "Up to when the promoter is read that was read longest ago, without those that are parked, paused or backfilling; \
         now where there is none.";
    INTERVAL_MAX = Gauge "feed_interval_max_seconds" ["app", "feed"]
        "Within how long each promoter was promised to be read again.";
    PROMOTERS = Gauge "promoters" ["app", "feed", "state"]
        "Promoters whose feed this instance polls, by how it stands.";
    FACT_AGE = Histogram "fact_age_seconds" ["feed"]
        "From when a fact happened until it was committed, of facts that were seen within a day.";
    OBSERVED_TO_COMMITTED = Histogram "observed_to_committed_seconds" ["feed"]
        "From when a fact was seen until it was committed, of facts that were seen within a day.";
    LATENESS_USED = Histogram "lateness_used_ratio" ["feed"]
        "Which share of its feed's lateness was over when a fact that is published was still not shown, by the poll before.";
    BACKFILL_REMAINING = Gauge "backfill_remaining_seconds" ["app", "feed"]
        "How far behind now the oldest cursor stands of those that read a past.";
    POLLS = Counter "polls" ["app", "feed", "outcome"]
        "Polls that have ended.";
    UPSTREAM_CALLS = Counter "upstream_calls" ["app", "interface", "class"]
        "Calls that were sent to the upstream, by what their answer asks for.";
    UPSTREAM_CALL_DURATION = Histogram "upstream_call_duration_seconds" ["interface"]
        "From when a call was sent to its answer, or to where none was to be had.";
    UPSTREAM_CALLS_IN_FLIGHT = Gauge "upstream_calls_in_flight" ["app"]
        "Calls of polls that are under way, or whose rows wait for room in the queue.";
    BUDGET_WAIT = Histogram "budget_wait_seconds" ["app", "interface"]
        "How long calls have waited for a permit of the budget of the minute.";
    QUOTA_LIMIT = Gauge "quota_limit_calls" ["app", "interface"]
        "Calls of a day as configured; 0 where no limit is known.";
    QUOTA_USED = Gauge "quota_used_calls" ["app", "interface", "source"]
        "Calls of today, as this process has counted them, and as the upstream has told of all who call.";
    QUOTA_RESET = Gauge "quota_reset_timestamp_seconds" ["app", "interface"]
        "When the day of the quota ends.";
    APP_STOPPED = Gauge "app_stopped" ["app", "reason"]
        "1 where no call can be made for the app until somebody has done something.";
    INTERFACE_HELD = Gauge "interface_held" ["app", "interface", "reason"]
        "1 where the interface is not called for a while.";
    NEXT_PROBE = Gauge "next_probe_timestamp_seconds" ["app"]
        "When what is not called is tried next; 0 where everything is called.";
    TOKEN_FETCHES = Counter "token_fetches" ["app", "outcome"]
        "Access tokens that were asked for.";
    TOKEN_EXPIRY = Gauge "token_expiry_timestamp_seconds" ["app"]
        "Until when the access token in use is kept; 0 where there is none.";
    CLOCK_OFFSET = Gauge "upstream_clock_offset_seconds" ["app"]
        "How far the upstream's clock is ahead of this host's; 0 before its first answer.";
    ROWS = Counter "rows" ["app", "feed", "fate"]
        "Rows that were shown, by what has become of them.";
    DEAD_LETTERS = Counter "dead_letters" ["source", "reason"]
        "Dead letters that were committed.";
    TRANSACTIONS = Counter "transactions" ["pipeline", "outcome"]
        "Transactions that have ended.";
    TRANSACTION_DURATION = Histogram "transaction_duration_seconds" ["pipeline"]
        "How long transactions took.";
    LAST_COMMIT = Gauge "last_commit_timestamp_seconds" ["pipeline"]
        "When a transaction was last committed; 0 before the first.";
    OLDEST_WAITING = Gauge "oldest_waiting_timestamp_seconds" ["pipeline"]
        "Since when there is something to commit and nothing was committed; 0 where nothing waits.";
    QUEUE_BYTES = Gauge "queue_bytes" ["pipeline"]
        "About how much waits for the committer.";
    QUEUE_LIMIT = Gauge "queue_limit_bytes" ["pipeline"]
        "How much may wait for the committer.";
    KAFKA_UP = Gauge "kafka_up" ["pipeline"]
        "1 where the brokers have answered in the last minute.";
    PARTITIONS = Gauge "partitions" []
        "Partitions that the promoters are spread over; 0 before the log was opened.";
    PARTITIONS_OWNED = Gauge "partitions_owned" ["state"]
        "Partitions of this instance.";
    RESTORE_DURATION = Gauge "restore_duration_seconds" []
        "How long the latest restore of partitions took.";
    REMEMBERED_FACTS = Gauge "remembered_facts" []
        "Facts that are remembered, to be recognised when they are shown again.";
    REMEMBERED_BYTES = Gauge "remembered_bytes" []
        "About how much memory these take.";
    SESSIONS = Counter "sessions" ["pipeline", "reason"]
        "Sessions that have ended, or did not begin, by why.";
    REQUESTS = Counter "requests" ["app", "status"]
        "Requests for material that were answered; app \"other\" where it is not configured.";
    REQUESTS_WAITING = Gauge "requests_waiting" ["app", "why"]
        "Requests for material that are in memory and wait, by what for.";
    REQUESTS_LAG = Gauge "requests_lag_records" []
        "Records of the request topic from the first request without an answer on, partition by partition.";
    REQUEST_DURATION = Histogram "request_duration_seconds" ["status"]
        "From a request's own time until its answer was committed.";
    LOG_EVENTS = Counter "log_events" ["level"]
        "Events that were logged.";
    LOG_DROPPED = Counter "log_dropped" []
        "Lines of the log that its reader did not take.";
}
