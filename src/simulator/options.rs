//! How the simulated world is to be: flags of `simulate`, with the defaults of every other user.

use std::time::Duration;

use clap::{Args, Parser, ValueEnum};

use crate::simulator::arguments::{duration, rate, share, signed_duration};
use crate::simulator::obstacles::faults::{FaultRate, Level};

/// Which day an order's payment belongs to. Not documented by the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DayZone {
    Beijing,
    Utc,
}

/// Whether `begin_time` and `end_time` belong to the window. Not documented by the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bounds {
    Inclusive,
    Exclusive,
    /// Each end of each promoter as the seed says.
    Seeded,
}

/// Which ids the world speaks in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ids {
    Openid,
    Unionid,
}

/// The simulated upstream.
#[derive(Args, Clone)]
#[group(id = "world")]
pub struct WorldOptions {
    /// What decides everything that happens by chance.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// An app that has credentials here; may be given several times.
    #[arg(long = "app", value_name = "APP_ID", default_value = "wx_simulated")]
    pub apps: Vec<String>,
    /// The secret of every app.
    #[arg(long, default_value = "simulated-secret")]
    pub secret: String,
    /// Registered promoters of each app: oSimulated000001 and so on.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub promoters: u32,
    /// Which ids the world speaks in.
    #[arg(long, value_enum, default_value = "openid")]
    pub ids: Ids,

    /// How far facts reach back before the start.
    #[arg(long, value_parser = duration, default_value = "2h")]
    pub history: Duration,
    /// Exactly that many touches per promoter in the history, evenly spread, instead of the usual rate.
    #[arg(long, value_name = "N")]
    pub history_touches: Option<u32>,
    /// Exactly that many orders per promoter in the history, evenly spread, instead of the usual rate.
    #[arg(long, value_name = "N")]
    pub history_orders: Option<u32>,
    /// Touches per promoter and hour on average; some promoters are busy, some quiet, some silent.
    #[arg(long, value_parser = rate, default_value = "30")]
    pub touches_per_hour: f64,
    /// Orders per promoter and hour on average.
    #[arg(long, value_parser = rate, default_value = "6")]
    pub orders_per_hour: f64,
    /// After this time no new facts and no faults, so that everything can settle.
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub quiet_after: Option<Duration>,
    /// Facts kept in memory at most, shared evenly by all promoters; one that has its share makes no more.
    #[arg(long, default_value_t = 50_000_000)]
    pub facts_max: u64,

    /// Share of the facts that appear late.
    #[arg(long, value_parser = share, default_value = "0.3")]
    pub late: f64,
    /// How late a fact appears at most.
    #[arg(long, value_parser = duration, default_value = "8m")]
    pub late_max: Duration,
    /// How late an order appears at most, counted from the end of its day; as --late-max where it is not given.
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub orders_late_max: Option<Duration>,
    /// How late a refund appears at most; as --late-max where it is not given.
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub refunds_late_max: Option<Duration>,
    /// Share of the orders that are listed under a neighbouring day, too.
    #[arg(long, value_parser = share, default_value = "0")]
    pub two_dates: f64,
    /// Share of the orders that are refunded.
    #[arg(long, value_parser = share, default_value = "0.2")]
    pub refunds: f64,
    /// Share of the refunded orders that are refunded in several parts.
    #[arg(long, value_parser = share, default_value = "0.3")]
    pub partial_refunds: f64,
    /// Share of the single refunds whose time is told only some time after they have appeared, up to an hour.
    #[arg(long, value_parser = share, default_value = "0")]
    pub told_later: f64,
    /// How long after the payment a refund comes at most.
    #[arg(long, value_parser = duration, default_value = "3d")]
    pub refund_within: Duration,
    /// How often a merchant edits role_id, retail_id or extra_info of a promoter.
    #[arg(long, value_parser = duration, default_value = "6h")]
    pub edit_every: Duration,

    /// Share of the rows with something odd that can still be read: control characters, broken UTF-8, unknown codes.
    #[arg(long, value_parser = share, default_value = "0.05")]
    pub odd_rows: f64,
    /// Share of the rows that can't be read.
    #[arg(long, value_parser = share, default_value = "0.003")]
    pub dead_rows: f64,
    /// Share of the rows that a pull shows twice.
    #[arg(long, value_parser = share, default_value = "0.02")]
    pub duplicates: f64,
    /// Rows that became visible within this time change their places between two calls.
    #[arg(long, value_parser = duration, default_value = "2m")]
    pub moving: Duration,

    /// Share of the calls in which all rows stand in another order.
    #[arg(long, value_parser = share, default_value = "0")]
    pub restless: f64,

    /// Rows of a full page. With fewer than 1000 a full page reports a total_cnt of 1000, as if it were one.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(4..=1000))]
    pub page_rows: u32,
    /// Which day an order's payment belongs to.
    #[arg(long, value_enum, default_value = "beijing")]
    pub days: DayZone,
    /// Whether the ends of a window belong to it.
    #[arg(long, value_enum, default_value = "seeded")]
    pub bounds: Bounds,
    /// How far the Date header is ahead of the clock; negative for behind.
    #[arg(long, value_parser = signed_duration, default_value = "0s", allow_hyphen_values = true)]
    pub clock_skew: jiff::SignedDuration,
    /// How long an answer takes at most when nothing is wrong.
    #[arg(long, value_parser = duration, default_value = "40ms")]
    pub latency: Duration,
    /// How long every answer takes at least; with that of --latency or more, all take exactly this long.
    #[arg(long, value_parser = duration, default_value = "0s")]
    pub latency_min: Duration,
    /// How long an access token lives.
    #[arg(long, value_parser = duration, default_value = "2h")]
    pub token_life: Duration,
    /// Calls per minute of one app's interface before 45011; 0 for no limit.
    #[arg(long, default_value_t = 0, value_name = "CALLS")]
    pub per_minute: u32,
    /// Calls per day of one app's interface before 45009, of which quota/get tells. The default is more than 5000 calls a minute come
    /// to.
    #[arg(long, default_value_t = 10_000_000, value_name = "CALLS")]
    pub per_day: u64,

    /// How much goes wrong.
    #[arg(long, value_enum, default_value = "some")]
    pub faults: Level,
    /// The rate of one fault, such as busy=0.05: a share of the calls, or of the time. May be given several times.
    #[arg(long = "fault", value_name = "NAME=RATE")]
    pub fault: Vec<FaultRate>,
    /// How long a fault holds that lasts: too-fast, quota, parked, endless, credentials, address-refused, banned.
    #[arg(long, value_parser = duration, default_value = "10s")]
    pub spell: Duration,
}

impl std::fmt::Debug for WorldOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorldOptions")
            .field("seed", &self.seed)
            .field("promoters", &self.promoters)
            .finish_non_exhaustive()
    }
}

impl Default for WorldOptions {
    /// The defaults of the command line.
    fn default() -> WorldOptions {
        #[derive(Parser)]
        #[command(no_binary_name = true)]
        struct DefaultArguments {
            #[command(flatten)]
            options: WorldOptions,
        }
        DefaultArguments::try_parse_from::<[&str; 0], &str>([]).expect("every flag has a default that parses").options
    }
}

impl WorldOptions {
    /// A world where nothing goes wrong and every row is plain, for benchmarks and as a start for single tests.
    pub fn plain() -> WorldOptions {
        WorldOptions {
            late: 0.0,
            odd_rows: 0.0,
            dead_rows: 0.0,
            duplicates: 0.0,
            moving: Duration::ZERO,
            latency: Duration::ZERO,
            faults: Level::None,
            ..WorldOptions::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_stay_below_the_lateness_of_the_connector() {
        let options = WorldOptions::default();
        assert!(options.late_max < Duration::from_secs(600));
        assert!(options.moving + options.late_max <= Duration::from_secs(600));
    }
}
