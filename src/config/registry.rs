//! `[registry]`: what is kept of promoters whom nobody names any more.

use std::time::Duration;

use super::reader::quantity::duration;
use super::reader::section::Section;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long the progress of a promoter that was removed is kept. A short time leaves none for whoever has removed one by mistake.
pub fn forget(mut section: Section) -> Duration {
    let forget = section.or("forget", 30 * DAY, duration("1h", "3650d"));
    section.end();
    forget
}
