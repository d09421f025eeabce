//! The fences that this connector writes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::kafka::client::settings::Settings;
use crate::kafka::group::member_id::MemberId;
use crate::model::fence::{self, Fence};
use crate::model::promoter::IdKind;

/// Makes the fences of one process, each with the number of its opening.
pub struct OwnFences {
    connector: String,
    transactional_id: String,
    id_kinds: HashMap<String, IdKind>,
    openings: AtomicU64,
}

impl OwnFences {
    /// Of a connector with these settings, of which nothing was opened yet.
    pub fn new(settings: &Settings, id_kinds: HashMap<String, IdKind>) -> OwnFences {
        let (connector, transactional_id) = (settings.name.clone(), settings.transactional_id());
        OwnFences { connector, transactional_id, id_kinds, openings: AtomicU64::new(0) }
    }

    /// The next one, of `member`, confirmed, before it has inherited anything. `partitions` are those of the state.
    pub fn next(&self, member: &MemberId, partitions: i32) -> Fence {
        Fence {
            format: fence::FORMAT,
            connector: self.connector.clone(),
            partitions,
            id_kinds: self.id_kinds.iter().map(|(app, kind)| (app.clone(), *kind)).collect(),
            generation: member.generation,
            member: member.member.clone(),
            transactional_id: self.transactional_id.clone(),
            opening: self.openings.fetch_add(1, Ordering::Relaxed),
            confirmed: true,
        }
    }

    /// Of which kind the ids of each app are.
    pub fn id_kinds(&self) -> &HashMap<String, IdKind> {
        &self.id_kinds
    }
}
