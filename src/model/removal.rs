//! What is written of a promoter in the state of its shard because somebody named it no longer, or names it again.

use super::promoter::Promoter;
use super::time::UnixTime;

/// A step of one promoter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    pub promoter: Promoter,
    pub step: RemovalStep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalStep {
    /// Since then nobody names the promoter. What is known of it is kept.
    Marked(UnixTime),
    /// Somebody names it again: it goes on from its cursors.
    Returned,
    /// It has been away for so long that what is known of it is dropped.
    Forgotten,
}
