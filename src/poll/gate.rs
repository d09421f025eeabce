//! Whether polls may go out: one gate for each app, one for each interface of it.
//!
//! A closed gate lets one poll through after a while, as a probe. Its outcome opens the gate or closes it again, so
//! an app with wrong credentials, or an interface without quota, costs one call each time and not one per promoter.

use std::time::Duration;

/// Clocks are durations since some fixed moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    #[default]
    Open,
    /// Nothing passes before `probe_at`.
    Closed { probe_at: Duration },
    /// One poll has passed as a probe; the others wait for its outcome.
    Probing,
}

/// How often those who wait behind a probe look again.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

impl Gate {
    /// When a poll may pass at the earliest: now (`None`), or at a later time.
    pub fn waits_until(&self, clock: Duration) -> Option<Duration> {
        match self {
            Gate::Open => None,
            Gate::Closed { probe_at } => (*probe_at > clock).then_some(*probe_at),
            Gate::Probing => Some(clock + PROBE_PATIENCE),
        }
    }

    /// A poll passes: behind a closed gate it is the probe.
    pub fn pass(&mut self) {
        if let Gate::Closed { .. } = self {
            *self = Gate::Probing;
        }
    }

    /// Closes the gate, or keeps it closed, until `probe_at`. True when it was open.
    pub fn close(&mut self, probe_at: Duration) -> bool {
        let was_open = *self == Gate::Open;
        *self = Gate::Closed { probe_at };
        was_open
    }

    /// A poll went well, or failed for a reason that is not the gate's. True when the gate was not open.
    pub fn open(&mut self) -> bool {
        let was_closed = *self != Gate::Open;
        *self = Gate::Open;
        was_closed
    }

    /// The probe ended without telling anything about the gate: another one may go.
    pub fn probe_again(&mut self, clock: Duration) {
        if *self == Gate::Probing {
            *self = Gate::Closed { probe_at: clock };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_closed_gate_lets_one_probe_through_after_its_time() {
        let mut gate = Gate::default();
        assert_eq!(gate.waits_until(MINUTE), None);
        assert!(gate.close(2 * MINUTE));
        assert_eq!(gate.waits_until(MINUTE), Some(2 * MINUTE));
        assert_eq!(gate.waits_until(2 * MINUTE), None);
        gate.pass();
        assert!(gate.waits_until(2 * MINUTE).is_some());
        assert!(!gate.close(3 * MINUTE));
        assert_eq!(gate.waits_until(2 * MINUTE), Some(3 * MINUTE));
        assert!(gate.open());
        assert_eq!(gate.waits_until(MINUTE), None);
    }

    #[test]
    fn a_probe_that_tells_nothing_is_followed_by_another() {
        let mut gate = Gate::Closed { probe_at: MINUTE };
        gate.pass();
        gate.probe_again(2 * MINUTE);
        assert_eq!(gate.waits_until(2 * MINUTE), None);
    }
}
