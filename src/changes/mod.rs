//! What operators change of promoters while the connector runs, or while it does not: one way for the command line and for the admin
//! port. It reads the registry topic, plans by what stands there, and writes records to it that last; whoever owns the promoter's
//! shard acts on them.

pub mod change_plan;
pub mod committed_progress;
pub mod learnt_schemas;
pub mod moment;
pub mod pause;
pub mod promoter_changes;
pub mod registry_view;
pub mod rewind;
pub mod rewind_plan;
pub mod settings;
pub mod write;

mod overwritten;
mod unreadable;

/// Why nothing was changed, or not for certain.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such promoter, or no such app.
    #[error("{0}")]
    Unknown(String),
    /// As things stand it makes no sense, or would do harm.
    #[error("{0}")]
    Refused(String),
    /// The change is written, and another's that was made at the same moment does not hold any more.
    #[error("{0}")]
    WrittenOver(String),
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}
