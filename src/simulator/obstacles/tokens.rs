//! Access tokens of one app: the stable kind and the classic kind, which know nothing of each other.

use crate::model::time::UnixTime;
use crate::simulator::seed::Seed;

/// Spec, seen in the field: a new stable token is made within the last five minutes of the current one, and a
/// classic token lives on that long after the next one was fetched.
const OVERLAP_SECONDS: i64 = 300;
/// Spec: `force_refresh` works at most 20 times a day, at least 30 seconds apart.
const FORCED_A_DAY: u32 = 20;
const FORCED_APART_SECONDS: i64 = 30;
/// Spec: about 2000 classic fetches a day.
const CLASSIC_A_DAY: u32 = 2000;

struct IssuedToken {
    text: String,
    /// When it would end by itself: what `expires_in` counts to.
    ends: UnixTime,
    /// From when on it is refused; never after `ends`.
    dies: UnixTime,
}

pub struct Granted {
    pub token: String,
    pub expires_in: i64,
}

/// What a data call's token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    Good,
    Expired,
    Unknown,
}

pub struct Tokens {
    seed: Seed,
    life: i64,
    made: u64,
    /// The newest last; those that died long ago are dropped.
    stable: Vec<IssuedToken>,
    classic: Vec<IssuedToken>,
    day: i64,
    forced_today: u32,
    forced_last: Option<UnixTime>,
    classic_today: u32,
}

impl Tokens {
    pub fn new(seed: Seed, life: std::time::Duration) -> Tokens {
        Tokens {
            seed: seed.text("tokens"),
            life: life.as_secs().cast_signed().max(1),
            made: 0,
            stable: Vec::new(),
            classic: Vec::new(),
            day: 0,
            forced_today: 0,
            forced_last: None,
            classic_today: 0,
        }
    }

    /// The current token with what is left of its life, or nothing when the day's forced refreshes are spent.
    pub fn stable(&mut self, now: UnixTime, force_refresh: bool) -> Option<Granted> {
        self.roll_over(now);
        let apart = self.forced_last.is_none_or(|last| now.0 - last.0 >= FORCED_APART_SECONDS);
        if force_refresh && apart {
            if self.forced_today >= FORCED_A_DAY {
                return None;
            }
            self.forced_today += 1;
            self.forced_last = Some(now);
            kill(&mut self.stable, now);
        }
        let overlap = OVERLAP_SECONDS.min(self.life / 2);
        let fresh = self.stable.last().is_some_and(|token| token.dies > now && token.ends.0 - now.0 > overlap);
        if !fresh {
            let token = self.make(now);
            self.stable.push(token);
        }
        forget(&mut self.stable, now);
        self.stable.last().map(|token| Granted { token: token.text.clone(), expires_in: token.ends.0 - now.0 })
    }

    /// A new token; the one before it dies soon. Nothing when the day's fetches are spent.
    pub fn classic(&mut self, now: UnixTime) -> Option<Granted> {
        self.roll_over(now);
        if self.classic_today >= CLASSIC_A_DAY {
            return None;
        }
        self.classic_today += 1;
        for token in &mut self.classic {
            token.dies = token.dies.min(now.plus(OVERLAP_SECONDS));
        }
        let token = self.make(now);
        let granted = Granted { token: token.text.clone(), expires_in: self.life };
        self.classic.push(token);
        forget(&mut self.classic, now);
        Some(granted)
    }

    pub fn worth(&self, now: UnixTime, text: &str) -> Worth {
        match self.stable.iter().chain(&self.classic).find(|token| token.text == text) {
            Some(token) if token.dies > now => Worth::Good,
            Some(token) if token.ends <= now => Worth::Expired,
            Some(_) | None => Worth::Unknown,
        }
    }

    /// All tokens are dead from now on; the next one asked for is a new one.
    pub fn revoke(&mut self, now: UnixTime) {
        kill(&mut self.stable, now);
        kill(&mut self.classic, now);
    }

    fn make(&mut self, now: UnixTime) -> IssuedToken {
        self.made += 1;
        let seed = self.seed.number(self.made);
        let letters: String = (0..8).map(|part| format!("{:016x}", seed.number(part).bits())).collect();
        let ends = now.plus(self.life);
        IssuedToken { text: format!("{}_{letters}", self.made), ends, dies: ends }
    }

    fn roll_over(&mut self, now: UnixTime) {
        let day = crate::model::time::Day::in_beijing(now).beijing_start().0;
        if day != self.day {
            (self.day, self.forced_today, self.classic_today) = (day, 0, 0);
        }
    }
}

fn kill(tokens: &mut [IssuedToken], now: UnixTime) {
    for token in tokens {
        token.dies = token.dies.min(now);
    }
}

/// Keeps the last few dead ones, so that 42001 can be told from 40001.
fn forget(tokens: &mut Vec<IssuedToken>, now: UnixTime) {
    let live = tokens.iter().filter(|token| token.dies > now).count();
    tokens.drain(..tokens.len().saturating_sub(live + 8));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: UnixTime = UnixTime(1_750_000_000);

    fn tokens() -> Tokens {
        Tokens::new(Seed::new(1), Duration::from_secs(7200))
    }

    #[test]
    fn the_stable_token_stays_the_same_until_its_last_five_minutes_and_then_overlaps() {
        let mut tokens = tokens();
        let first = tokens.stable(NOW, false).unwrap();
        let again = tokens.stable(NOW.plus(6899), false).unwrap();
        assert_eq!((&again.token, again.expires_in), (&first.token, 301));
        let next = tokens.stable(NOW.plus(6900), false).unwrap();
        assert_ne!(next.token, first.token);
        assert_eq!(tokens.worth(NOW.plus(7199), &first.token), Worth::Good);
        assert_eq!(tokens.worth(NOW.plus(7200), &first.token), Worth::Expired);
        assert_eq!(tokens.worth(NOW.plus(7200), &next.token), Worth::Good);
    }

    #[test]
    fn a_forced_refresh_kills_the_current_token_at_most_twenty_times_a_day() {
        let mut tokens = tokens();
        let first = tokens.stable(NOW, false).unwrap();
        let forced = tokens.stable(NOW, true).unwrap();
        assert_ne!(forced.token, first.token);
        assert_eq!(tokens.worth(NOW, &first.token), Worth::Unknown);
        assert_eq!(tokens.stable(NOW.plus(29), true).unwrap().token, forced.token, "too soon: nothing happens");
        for turn in 1..20 {
            assert!(tokens.stable(NOW.plus(turn * 30), true).is_some());
        }
        assert!(tokens.stable(NOW.plus(600), true).is_none());
    }

    #[test]
    fn each_classic_token_ends_the_one_before_after_five_minutes() {
        let mut tokens = tokens();
        let first = tokens.classic(NOW).unwrap();
        let second = tokens.classic(NOW).unwrap();
        assert_eq!(tokens.worth(NOW.plus(299), &first.token), Worth::Good);
        assert_eq!(tokens.worth(NOW.plus(300), &first.token), Worth::Unknown);
        assert_eq!(tokens.worth(NOW.plus(300), &second.token), Worth::Good);
    }

    #[test]
    fn a_revoked_token_is_not_given_again() {
        let mut tokens = tokens();
        let first = tokens.stable(NOW, false).unwrap();
        tokens.revoke(NOW);
        assert_eq!(tokens.worth(NOW, &first.token), Worth::Unknown);
        assert_ne!(tokens.stable(NOW, false).unwrap().token, first.token);
    }
}
