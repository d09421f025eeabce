//! Changes that are asked for while the connector runs, one after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout_at;

use super::change_plan::{ChangeOutcome, ChangePlan};
use super::registry_view::RegistryView;
use super::rewind::{PlannedRewind, RewindRequest};
use super::settings::{ChangeSettings, RegisteringApp};
use super::write::write;
use super::{ChangeError, pause};
use crate::avro::framing::Framing;
use crate::clock;
use crate::model::promoter::Promoter;

/// How long one may take, with the wait for those before it. Whoever has asked hears of it before its connection is closed.
const CHANGE_MAX: Duration = Duration::from_secs(40);

/// What the configuration says of a promoter, and of the apps.
pub type PromoterSettings = dyn Fn(&Promoter) -> ChangeSettings + Send + Sync;
/// Asks how records of the registry are framed.
pub type FramingSource = dyn Fn() -> BoxFuture<'static, anyhow::Result<Framing>> + Send + Sync;

/// Lives as long as the process. Its clones take turns.
#[derive(Clone)]
pub struct PromoterChanges {
    settings: Arc<PromoterSettings>,
    framing: Arc<FramingSource>,
    /// One place: a change rests on what stands in the registry, so the next one has to see the record of the one before. It also
    /// bounds what they cost.
    turn: Arc<Semaphore>,
}

impl PromoterChanges {
    pub fn new(
        settings: impl Fn(&Promoter) -> ChangeSettings + Send + Sync + 'static,
        framing: impl Fn() -> BoxFuture<'static, anyhow::Result<Framing>> + Send + Sync + 'static,
    ) -> PromoterChanges {
        PromoterChanges { settings: Arc::new(settings), framing: Arc::new(framing), turn: Arc::new(Semaphore::new(1)) }
    }

    /// Sets whether the promoter is `paused`. When it returns, the registry has taken it.
    ///
    /// # Errors
    /// [`ChangeError`] where nobody knows the promoter, or the registry can't be read or written in time.
    pub async fn pause(&self, promoter: Promoter, paused: bool) -> Result<ChangeOutcome, ChangeError> {
        let changes = self.clone();
        self.in_turn(move |until| {
            let settings = (changes.settings)(&promoter);
            RegisteringApp::refuse_unknown(&settings.apps, &promoter)?;
            let view = RegistryView::of_promoter(settings, &promoter, until)?;
            pause::refuse_unknown(&view, &promoter)?;
            let mut plan = ChangePlan::default();
            let outcome = pause::plan(&mut plan, &view, &promoter, paused, clock::now());
            write(&view, &plan, || changes.framing(until), |_| {})?;
            Ok(outcome)
        })
        .await
    }

    /// When it returns, the registry has taken the signal, unless the plan is refused or a dry run.
    ///
    /// # Errors
    /// [`ChangeError`] where the promoter or the feed is not polled, the time lies ahead, or Kafka can't be read or written in time.
    pub async fn rewind(&self, request: RewindRequest) -> Result<PlannedRewind, ChangeError> {
        let changes = self.clone();
        self.in_turn(move |until| {
            let (now, settings) = (clock::now(), (changes.settings)(&request.promoter));
            request.check(&settings.apps, now)?;
            let view = RegistryView::of_promoter(settings, &request.promoter, until)?;
            request.carry_out(&view, now)
        })
        .await
    }

    /// Blocks.
    ///
    /// # Errors
    /// Where the schema registry refuses the schema, or does not answer in time.
    fn framing(&self, until: Instant) -> anyhow::Result<Framing> {
        let framing = async { timeout_at(until.into(), (self.framing)()).await };
        Handle::current().block_on(framing).context("the schema registry gives no answer")?
    }

    /// Runs `work`, which blocks, behind what is under way. It goes on to its end where whoever has asked for it goes away.
    ///
    /// # Errors
    /// That of `work`; or that its turn has not come in time.
    async fn in_turn<R: Send + 'static>(
        &self,
        work: impl FnOnce(Instant) -> Result<R, ChangeError> + Send + 'static,
    ) -> Result<R, ChangeError> {
        let until = Instant::now() + CHANGE_MAX;
        let turn = timeout_at(until.into(), self.turn.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| anyhow!("other changes are under way: ask again"))?.map_err(anyhow::Error::new)?;
        let worked = spawn_blocking(move || {
            let _turn = turn;
            work(until)
        });
        worked.await.map_err(anyhow::Error::new)?
    }
}
