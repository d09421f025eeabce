//! Which part of an app's budget is this instance's.

/// A part of a whole, from none of it to all.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    pub const NONE: Share = Share(0.0);
    pub const ALL: Share = Share(1.0);

    /// So many of as many parts; none of none.
    pub fn of_parts(own: usize, all: usize) -> Share {
        if all == 0 { Share::NONE } else { Share((own as f64 / all as f64).min(1.0)) }
    }

    pub fn of(self, whole: f64) -> f64 {
        self.0 * whole
    }

    /// The whole of which `part` is this share; no share is a part of nothing.
    pub fn whole_of(self, part: f64) -> f64 {
        if self.is_none() { 0.0 } else { part / self.0 }
    }

    /// Which part of `other` is left where this comes after it: all of it, unless this is less.
    pub fn left_of(self, other: Share) -> f64 {
        if self.0 < other.0 { self.0 / other.0 } else { 1.0 }
    }

    pub fn is_none(self) -> bool {
        self.0 <= 0.0
    }
}
