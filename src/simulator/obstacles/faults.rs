//! What goes wrong, how often, and for whom.
//!
//! A *stroke* hits single calls by chance. A *spell* holds for a subject (an app, an app's interface, a promoter)
//! during a whole slot of time: time is cut into slots, and the seed says which of them are bad.

use std::str::FromStr;

use clap::ValueEnum;

use crate::model::time::UnixMillis;
use crate::simulator::arguments::{ArgumentError, share};
use crate::simulator::seed::Seed;

/// One kind of fault. The value is the default rate with `--faults some` and `--faults many`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum InjectedFault {
    /// HTTP 500.
    #[value(name = "error-500")]
    Error500,
    /// HTTP 502 with an HTML body.
    #[value(name = "error-502")]
    Error502,
    /// HTTP 429 with Retry-After.
    TooManyRequests,
    /// No answer.
    Hang,
    /// The connection is closed before an answer.
    Reset,
    /// An answer that takes one to five seconds.
    Slow,
    /// HTTP 200 without a body.
    EmptyBody,
    /// HTTP 200 with an HTML body.
    HtmlBody,
    /// HTTP 200 with the JSON of some gateway, which may hold an answer.
    ForeignJson,
    /// A page whose list is an object.
    ListObject,
    /// A first page that counts rows and has none.
    RowsMissing,
    /// The connection is closed within the body.
    Truncated,
    /// errcode -1.
    Busy,
    /// 40001, 40014 or 42001 for a token that is good, and stays the current one.
    TokenRejected,
    /// 40001, and all tokens of the app are dead from now on.
    TokenRevoked,
    /// 103009, 103011, 103012 or 103013.
    TryLater,
    /// A code that no document names.
    Unforeseen,
    /// A page gives the start_id back that it was asked with.
    RepeatingStartId,
    /// A page of a thousand rows gives no start_id.
    MissingStartId,
    /// The token endpoint is busy, broken or gone.
    TokenError,
    /// Spell of an app's interface: 45011.
    TooFast,
    /// Spell of an app's interface: 45009.
    Quota,
    /// Spell of a promoter: 103014, 103007 or 40003.
    Parked,
    /// Spell of a promoter: its pages begin again instead of ending.
    Endless,
    /// Spell of an app: the token endpoint answers 40125.
    Credentials,
    /// Spell of an app: the token endpoint answers 40164.
    AddressRefused,
    /// Spell of an app: 48001 or 50002.
    Banned,
    /// The errcode comes as text: harmless.
    ErrcodeText,
    /// The body is packed, which nobody asked for: harmless.
    Gzip,
    /// NULs behind the body: harmless.
    TrailingNul,
    /// Content-Type text/plain: harmless.
    TextPlain,
}

impl InjectedFault {
    fn default_rate(self, level: Level) -> f64 {
        let (some, many) = match self {
            InjectedFault::Error500 | InjectedFault::Error502 | InjectedFault::Reset | InjectedFault::Truncated => {
                (0.003, 0.02)
            }
            InjectedFault::TooManyRequests
            | InjectedFault::EmptyBody
            | InjectedFault::HtmlBody
            | InjectedFault::ForeignJson => (0.002, 0.01),
            InjectedFault::ListObject | InjectedFault::RowsMissing => (0.001, 0.005),
            InjectedFault::Gzip | InjectedFault::TrailingNul => (0.01, 0.05),
            InjectedFault::Hang
            | InjectedFault::TokenRejected
            | InjectedFault::Unforeseen
            | InjectedFault::MissingStartId => (0.001, 0.005),
            InjectedFault::Slow | InjectedFault::TooFast | InjectedFault::Parked => (0.005, 0.02),
            InjectedFault::Busy => (0.01, 0.05),
            InjectedFault::TokenRevoked => (0.0005, 0.003),
            InjectedFault::TryLater => (0.003, 0.01),
            InjectedFault::RepeatingStartId | InjectedFault::Quota | InjectedFault::Endless => (0.002, 0.01),
            InjectedFault::TokenError => (0.02, 0.1),
            InjectedFault::Credentials | InjectedFault::AddressRefused | InjectedFault::Banned => (0.0, 0.005),
            InjectedFault::ErrcodeText => (0.1, 0.3),
            InjectedFault::TextPlain => (0.2, 0.5),
        };
        match level {
            Level::None => 0.0,
            Level::Some => some,
            Level::Many => many,
        }
    }

    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// How much goes wrong where no single rate is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    None,
    Some,
    Many,
}

/// One `--fault name=rate`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultRate {
    pub fault: InjectedFault,
    /// Share of the calls, or of the time for a spell: 0 to 1.
    pub rate: f64,
}

/// Why a text is no rate of a fault.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultRateError {
    #[error("write it as name=rate, such as busy=0.05")]
    NoPair,
    #[error("no fault is called {name:?}; there are {}", names().join(", "))]
    UnknownFault { name: String },
    #[error(transparent)]
    Rate(#[from] ArgumentError),
}

fn names() -> Vec<String> {
    InjectedFault::value_variants().iter().map(|fault| fault.name()).collect()
}

impl FromStr for FaultRate {
    type Err = FaultRateError;

    fn from_str(text: &str) -> Result<FaultRate, FaultRateError> {
        let (name, rate) = text.split_once('=').ok_or(FaultRateError::NoPair)?;
        let unknown = |_| FaultRateError::UnknownFault { name: name.to_owned() };
        let fault = InjectedFault::from_str(name, false).map_err(unknown)?;
        Ok(FaultRate { fault, rate: share(rate)? })
    }
}

/// The rates of all faults, and the seed that decides when they strike.
pub struct Faults {
    rates: [f64; InjectedFault::COUNT],
    seed: Seed,
    spell_millis: i64,
    /// From here on nothing goes wrong any more.
    quiet_at: Option<UnixMillis>,
}

impl InjectedFault {
    const COUNT: usize = InjectedFault::TextPlain as usize + 1;
}

impl Faults {
    pub fn new(
        level: Level,
        single: &[FaultRate],
        seed: Seed,
        spell_millis: i64,
        quiet_at: Option<UnixMillis>,
    ) -> Faults {
        let mut rates = [0.0; InjectedFault::COUNT];
        for fault in InjectedFault::value_variants() {
            rates[*fault as usize] = fault.default_rate(level);
        }
        for FaultRate { fault, rate } in single {
            rates[*fault as usize] = *rate;
        }
        Faults { rates, seed: seed.text("faults"), spell_millis: spell_millis.max(1), quiet_at }
    }

    /// Nothing goes wrong from here on.
    pub fn end(&mut self, now: UnixMillis) {
        self.quiet_at = Some(self.quiet_at.map_or(now, |quiet_at| quiet_at.min(now)));
    }

    pub fn quiet(&self, now: UnixMillis) -> bool {
        self.quiet_at.is_some_and(|quiet_at| now >= quiet_at)
    }

    /// Whether a stroke hits the call that `call` is the seed of.
    pub fn strikes(&self, fault: InjectedFault, now: UnixMillis, call: Seed) -> bool {
        let rate = self.rates[fault as usize];
        rate > 0.0 && !self.quiet(now) && call.number(fault as u64).chance(rate)
    }

    /// Whether a spell holds for a subject at this time.
    pub fn holds(&self, fault: InjectedFault, now: UnixMillis, subject: &str) -> bool {
        let rate = self.rates[fault as usize];
        if rate <= 0.0 || self.quiet(now) {
            return false;
        }
        let slot = now.0.div_euclid(self.spell_millis);
        self.seed.number(fault as u64).text(subject).number(slot.cast_unsigned()).chance(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_rate_wins_over_the_level() {
        let faults = Faults::new(Level::Many, &["busy=1".parse().unwrap()], Seed::new(1), 1000, None);
        assert_eq!(faults.rates[InjectedFault::Busy as usize], 1.0);
        assert_eq!(faults.rates[InjectedFault::Hang as usize], 0.005);
    }

    #[test]
    fn a_misspelt_fault_is_told_the_names() {
        let error = "buzy=1".parse::<FaultRate>().unwrap_err().to_string();
        assert!(error.contains("busy") && error.contains("text-plain"), "{error}");
        assert!("busy=2".parse::<FaultRate>().is_err());
        assert!("busy".parse::<FaultRate>().is_err());
    }

    #[test]
    fn a_spell_holds_for_its_whole_slot_and_ends_with_the_quiet() {
        let rate = "parked=0.5".parse().unwrap();
        let faults = Faults::new(Level::None, &[rate], Seed::new(7), 1000, Some(UnixMillis(50_000)));
        let held = |now| faults.holds(InjectedFault::Parked, UnixMillis(now), "app/promoter");
        let slots: Vec<bool> = (0..50).map(|slot| held(slot * 1000)).collect();
        assert!(slots.contains(&true) && slots.contains(&false));
        assert!((0..50).all(|slot| held(slot * 1000 + 999) == slots[slot as usize]));
        assert!((50..200).all(|slot| !held(slot * 1000)));
    }
}
