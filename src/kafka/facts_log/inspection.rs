//! Whether a start could take the state over: what the order at opening looks at in steps 2 and 5 ([`super`]), of all
//! partitions at once, without a fence and without the group.

use std::collections::HashMap;

use tokio_util::sync::CancellationToken;

use super::own_fence::OwnFences;
use super::state_ends::{self, StateEnds};
use super::state_reader::StateReader;
use super::takeover::refuse_emptied;
use crate::commit::log::OpenError;
use crate::kafka::client::settings::Settings;
use crate::kafka::group::member_id::MemberId;
use crate::model::fence::FoundFence;
use crate::model::promoter::IdKind;
use crate::model::state_content::Stray;

/// A state that this connector could take over.
#[derive(Debug)]
pub struct InspectedState {
    /// Nobody has polled with it yet.
    pub is_new: bool,
    /// Records that somebody else has written, and that are skipped.
    pub strays: Vec<Stray>,
}

/// Reads the state of all `partitions` to their ends, unless `given_up` before. Blocks.
///
/// # Errors
/// [`OpenError::Stop`] where it is not this connector's to go on with, and [`OpenError::Again`] where it can't be read to
/// its end now.
pub fn inspect(
    settings: &Settings,
    id_kinds: &HashMap<String, IdKind>,
    partitions: i32,
    given_up: &CancellationToken,
) -> Result<InspectedState, OpenError> {
    let all: Vec<i32> = (0..partitions).collect();
    // Before anything is read: what is known of a partition now has left its fence in it already.
    let uncommitted = state_ends::uncommitted(settings).map_err(state_ends::again)?;
    let ends = StateEnds { settings, uncommitted: &uncommitted };
    let worked_on = ends.worked_on(&all)?;
    let mut reader = StateReader::of_inspected(&ends, partitions, given_up)?;
    reader.read_to_end()?;
    let nobody = MemberId { generation: 0, member: String::new() };
    let own = OwnFences::new(settings, id_kinds.clone()).next(&nobody, partitions);
    all.iter().try_for_each(|partition| reader.check(&own, *partition))?;
    all.iter().try_for_each(|partition| refuse_emptied(settings, &worked_on, reader.content(), *partition))?;
    let fence_of = |partition: &i32| reader.content().fence_of(&settings.name, *partition);
    let is_new = !all.iter().filter_map(fence_of).any(FoundFence::is_confirmed);
    let mut strays = Vec::new();
    for partition in all {
        strays.extend(reader.finish(partition)?.1);
    }
    Ok(InspectedState { is_new, strays })
}
