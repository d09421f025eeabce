//! `[poll]`: how the promoters of an app are polled together.

use std::time::Duration;

use super::reader::quantity::duration;
use super::reader::section::Section;

/// Unless one is set, everybody is read as fast as it goes.
const AS_GOOD_AS_NONE: Duration = Duration::from_secs(36_500 * 24 * 3600);

/// How far apart the cursors of a backfill may be. A long one is as good as none.
pub fn read(mut section: Section) -> Duration {
    let spread = section.or("catch_up_spread", AS_GOOD_AS_NONE, duration("1m", "36500d"));
    section.end();
    spread
}
