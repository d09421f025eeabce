//! Instances with the budget of an app whose promoters all lie in one shard.

use std::collections::BTreeSet;

use tokio::task::JoinHandle;

use super::*;
use crate::commit::testing::memory_group::MemoryGroup;
use crate::commit::testing::memory_log::PARTITIONS;
use crate::model::feed::Interface;
use crate::model::shard::{OwnedShards, Shard};
use crate::upstream::budget::BudgetSettings;

const PER_MINUTE: u32 = 120;
/// Where the promoters are.
const CROWDED: Shard = Shard(1);
const NAMES: [&str; 3] = ["one", "two", "three"];

struct Fleet {
    upstream: Upstream,
    group: MemoryGroup,
    durable: Arc<Mutex<DurableTopics>>,
    shares: Vec<Arc<BudgetShares<Upstream>>>,
    owned: Vec<BTreeSet<i32>>,
    running: Vec<JoinHandle<()>>,
}

/// Two and a half calls for each that there are, once a minute each.
fn promoters() -> Vec<(Promoter, ConfiguredPromoter)> {
    let all = (0..).map(|number| Promoter::from_key(&format!("wx1/o{number}")).unwrap());
    let crowd = all.filter(|promoter| Shard::of(promoter, PARTITIONS) == CROWDED).take(PER_MINUTE as usize * 5 / 2);
    crowd.map(|promoter| (promoter, ConfiguredPromoter::default())).collect()
}

impl Fleet {
    /// Each instance has a shard.
    fn start() -> Fleet {
        let upstream = Upstream { began: tokio::time::Instant::now(), asked: Arc::default() };
        let (group, durable) = (MemoryGroup::default(), Arc::default());
        let mut fleet =
            Fleet { upstream, group, durable, shares: vec![], owned: vec![BTreeSet::new(); 3], running: vec![] };
        (0..NAMES.len()).for_each(|number| fleet.begin(number));
        (0..PARTITIONS).for_each(|partition| fleet.give(partition, usize::try_from(partition).unwrap()));
        fleet
    }

    fn begin(&mut self, number: usize) {
        let mut pipeline = pipeline(&self.upstream, promoter(touches_only(plan(StartFrom::At(NOW)))));
        let budget = BudgetSettings { per_minute: PER_MINUTE, per_day: 0 };
        let settings = ClientSettings {
            retry: retry(),
            budgets: [(Interface::GetRelation, budget)].into(),
            ..ClientSettings::for_tests("wx1")
        };
        let app = &mut Arc::get_mut(&mut pipeline.apps).unwrap()[0];
        app.client = Arc::new(Client::new(settings, self.upstream.clone()));
        app.promoters = promoters().into();
        let shares = Arc::new(BudgetShares::new([app.client.clone()], Interface::is_polled).divided());
        pipeline.shares = Some(shares.clone());
        self.shares.push(shares.clone());
        let (durable, group) = (self.durable.clone(), self.group.clone());
        self.running.push(tokio::spawn(async move {
            let make_log = || {
                let shares = shares.clone();
                MemoryLog::shared(durable.clone(), FaultScript::uneventful(), NAMES[number], &group)
                    .noting(move |assigned| shares.note(assigned))
            };
            let _ = supervisor::run(&pipeline, make_log, &CancellationToken::new(), retry()).await;
        }));
    }

    fn own(&self, number: usize) {
        let owned = self.owned[number].clone();
        self.shares[number].own(&OwnedShards { owned, in_all: usize::try_from(PARTITIONS).unwrap() });
    }

    /// Whoever has had it hears of it before.
    fn give(&mut self, partition: i32, to: usize) {
        for number in 0..NAMES.len() {
            if self.owned[number].remove(&partition) {
                self.own(number);
            }
        }
        self.owned[to].insert(partition);
        self.own(to);
        self.group.take_away(Shard(partition), NAMES[to]);
    }

    /// It is gone from one moment to the next, and some time later another has what it had.
    async fn kill(&mut self, number: usize, to: usize) {
        self.running[number].abort();
        tokio::time::sleep(Duration::from_secs(10)).await;
        for partition in self.owned[number].clone() {
            self.give(partition, to);
        }
    }

    /// How many calls were made in so many minutes from now on.
    async fn calls_of(&self, minutes: u32) -> usize {
        let before = self.upstream.asked.lock().unwrap().len();
        tokio::time::sleep(minutes * MINUTE).await;
        self.upstream.asked.lock().unwrap().len() - before
    }

    fn most_in_a_minute(&self) -> usize {
        let asked = self.upstream.asked.lock().unwrap();
        let within = |first: usize| asked[first..].partition_point(|call| *call < asked[first] + MINUTE);
        (0..asked.len()).map(within).max().unwrap_or_default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_spent_where_the_promoters_are_and_never_exceeded_whoever_ends() {
    let mut fleet = Fleet::start();
    let least = |minutes: u32| (PER_MINUTE * minutes * 95).div_ceil(100) as usize;
    tokio::time::sleep(2 * MINUTE).await;
    let calls = fleet.calls_of(5).await;
    assert!(calls >= least(5), "{calls} calls in five minutes by three");
    fleet.kill(1, 2).await;
    tokio::time::sleep(MINUTE).await;
    let calls = fleet.calls_of(5).await;
    assert!(calls >= least(5), "{calls} calls in five minutes by two");
    // The divider hands its shard to another, and the crowd moves away from that one.
    fleet.give(0, 2);
    fleet.give(1, 0);
    tokio::time::sleep(2 * MINUTE).await;
    let calls = fleet.calls_of(5).await;
    assert!(calls >= least(5), "{calls} calls in five minutes by two others");
    fleet.kill(2, 0).await;
    tokio::time::sleep(MINUTE).await;
    let calls = fleet.calls_of(5).await;
    assert!(calls >= least(5), "{calls} calls in five minutes by one");
    let most = fleet.most_in_a_minute();
    assert!(most <= PER_MINUTE as usize, "{most} calls in a minute");
}
