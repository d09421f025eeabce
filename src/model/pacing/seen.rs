//! What a feed's pace remembers of its latest pull, in few bytes.

use std::num::NonZeroU32;

use crate::model::time::UnixTime;

/// What the latest pull that tells of the present has seen. Six bytes, aligned to two.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed(2))]
pub(super) struct Seen {
    /// In Unix seconds: half of what a time takes, until 2106.
    to: NonZeroU32,
    /// How many rows a pull after it shows again, as far as that fits: of one that shows more, some seem to be new each time, and it
    /// is polled rather too often than too seldom.
    pub again: u16,
}

impl Seen {
    pub fn new(to: UnixTime, again: u64) -> Seen {
        let to = NonZeroU32::new(u32::try_from(to.0.max(0)).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN);
        Seen { to, again: u16::try_from(again).unwrap_or(u16::MAX) }
    }

    pub fn to(self) -> UnixTime {
        UnixTime(i64::from(self.to.get()))
    }
}
