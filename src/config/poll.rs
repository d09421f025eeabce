//! `[poll]`: how the promoters of an app are polled together.

use std::time::Duration;

use super::reader::quantity::duration;
use super::reader::section::Section;

/// How far apart the cursors of a backfill may be. A long one is as good as none: everybody is read as fast as it goes.
pub fn read(mut section: Section) -> Duration {
    let spread = section.or("catch_up_spread", Duration::from_secs(6 * 3600), duration("1m", "36500d"));
    section.end();
    spread
}
