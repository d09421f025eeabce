//! Instances with the budget of an app whose promoters all lie in one shard.

use std::collections::BTreeSet;

use tokio::task::JoinHandle;

use super::*;
use crate::commit::testing::durable_topics::PARTITIONS;
use crate::commit::testing::memory_group::MemoryGroup;
use crate::model::feed::Interface;
use crate::model::shard::{OwnedShards, Shard};
use crate::upstream::budget::BudgetSettings;

const PER_MINUTE: u32 = 120;
/// Where the promoters are.
const CROWDED: Shard = Shard(1);
const SESSION: Duration = Duration::from_secs(10);
const NAMES: [&str; 4] = ["one", "two", "three", "four"];

struct Fleet {
    upstream: Upstream,
    group: MemoryGroup,
    durable: Arc<Mutex<DurableTopics>>,
    per_minute: u32,
    few: usize,
    shares: Vec<Arc<BudgetShares>>,
    owned: Vec<BTreeSet<i32>>,
    generation: i32,
    running: Vec<JoinHandle<()>>,
}

/// So many that lie in this shard, to be polled once a minute each.
fn promoters(count: usize, shard: Shard) -> impl Iterator<Item = (Promoter, ConfiguredPromoter)> {
    let all = (0..).map(|number| Promoter::from_key(&format!("wx1/o{number}")).unwrap());
    let those = all.filter(move |promoter| Shard::of(promoter, PARTITIONS) == shard).take(count);
    those.map(|promoter| (promoter, ConfiguredPromoter::default()))
}

impl Fleet {
    /// Each instance has a shard. Those of `old` know nothing of shares. In the crowd are two and a half calls for each that there is,
    /// and `few` promoters lie in the shard of the third.
    fn start(per_minute: u32, few: usize, old: &[usize]) -> Fleet {
        let upstream = Upstream { began: tokio::time::Instant::now(), asked: Arc::default() };
        let (group, durable) = (MemoryGroup::default(), Arc::default());
        let (shares, owned, running) = (vec![], vec![BTreeSet::new(); NAMES.len()], vec![]);
        let mut fleet = Fleet { upstream, group, durable, per_minute, few, shares, owned, generation: 0, running };
        (0..NAMES.len()).for_each(|number| fleet.begin(number, old.contains(&number)));
        (0..PARTITIONS).for_each(|partition| fleet.give(partition, usize::try_from(partition).unwrap()));
        fleet
    }

    fn begin(&mut self, number: usize, is_old: bool) {
        let mut pipeline = pipeline(&self.upstream, promoter(touches_only(plan(StartFrom::At(NOW)))));
        let budget = BudgetSettings { per_minute: self.per_minute, per_day: 0 };
        let settings = ClientSettings {
            retry: retry(),
            budgets: [(Interface::GetRelation, budget)].into(),
            ..ClientSettings::for_tests("wx1")
        };
        let app = &mut Arc::get_mut(&mut pipeline.apps).unwrap()[0];
        app.client = Arc::new(Client::new(settings, self.upstream.clone()));
        let crowd = promoters(self.per_minute as usize * 5 / 2, CROWDED);
        app.promoters = crowd.chain(promoters(self.few, Shard(2))).collect::<Vec<_>>().into();
        let shares = BudgetShares::new([app.client.clone()], Interface::is_polled);
        let shares = Arc::new(if is_old { shares } else { shares.divided(SESSION) });
        pipeline.shares = (!is_old).then(|| shares.clone());
        self.shares.push(shares.clone());
        let (durable, group) = (self.durable.clone(), self.group.clone());
        self.running.push(tokio::spawn(async move {
            let make_log = || {
                let log = MemoryLog::shared(durable.clone(), FaultScript::uneventful(), NAMES[number], &group);
                if is_old { log } else { log.noting(shares.clone()) }
            };
            let _ = supervisor::run(&pipeline, make_log, &CancellationToken::new(), retry()).await;
        }));
    }

    fn own(&self, number: usize) {
        let owned = self.owned[number].clone();
        let in_all = usize::try_from(PARTITIONS).unwrap();
        self.shares[number].own(&OwnedShards { owned, in_all, generation: self.generation });
    }

    /// In a generation of its own. Whoever has had it hears of it before.
    fn give(&mut self, partition: i32, to: usize) {
        self.generation += 1;
        for owned in &mut self.owned {
            owned.remove(&partition);
        }
        (0..NAMES.len()).for_each(|number| self.own(number));
        self.owned[to].insert(partition);
        self.own(to);
        self.group.take_away(Shard(partition), NAMES[to]);
    }

    /// It is gone from one moment to the next, and some time later another has what it had.
    async fn kill(&mut self, number: usize, to: usize) {
        self.running[number].abort();
        tokio::time::sleep(SESSION).await;
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

    /// So many minutes from now on, nearly all is spent that five minutes have.
    async fn must_spend(&self, after: u32, by: &str) {
        tokio::time::sleep(after * MINUTE).await;
        let (calls, least) = (self.calls_of(5).await, (PER_MINUTE * 5 * 95).div_ceil(100) as usize);
        assert!(calls >= least, "{calls} calls in five minutes by {by}");
    }

    fn most_in_a_minute(&self) -> usize {
        let asked = self.upstream.asked.lock().unwrap();
        let within = |first: usize| asked[first..].partition_point(|call| *call < asked[first] + MINUTE);
        (0..asked.len()).map(within).max().unwrap_or_default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_spent_where_the_promoters_are_and_never_exceeded_whoever_ends() {
    let mut fleet = Fleet::start(PER_MINUTE, 0, &[]);
    fleet.must_spend(2, "three").await;
    fleet.kill(1, 2).await;
    fleet.must_spend(1, "two").await;
    // The divider hands its shard to another, and the crowd moves away from that one.
    fleet.give(0, 2);
    fleet.give(1, 0);
    fleet.must_spend(2, "two others").await;
    fleet.kill(2, 0).await;
    fleet.must_spend(1, "one").await;
    let most = fleet.most_in_a_minute();
    assert!(most <= PER_MINUTE as usize, "{most} calls in a minute");
}

#[tokio::test(start_paused = true)]
async fn beside_one_that_knows_nothing_of_shares_a_budget_is_not_exceeded_either() {
    let few = PER_MINUTE as usize / 3;
    let mut fleet = Fleet::start(PER_MINUTE, few, &[3]);
    tokio::time::sleep(5 * MINUTE).await;
    let before = fleet.calls_of(5).await;
    // It calls with an equal part for the few, who have had less.
    fleet.give(2, 3);
    tokio::time::sleep(5 * MINUTE).await;
    let beside = fleet.calls_of(5).await;
    fleet.give(2, 2);
    tokio::time::sleep(2 * MINUTE).await;
    let after = fleet.calls_of(5).await;
    let of_budget = |calls: usize| calls as f64 / f64::from(5 * PER_MINUTE);
    assert!(of_budget(before) > 0.95 && of_budget(after) > 0.95, "{before} calls, and {after}");
    assert!((0.6..0.7).contains(&of_budget(beside)), "{beside} calls: the part of the empty one is unused");
    let most = fleet.most_in_a_minute();
    assert!(most <= PER_MINUTE as usize, "{most} calls in a minute");
}

#[tokio::test(start_paused = true)]
async fn of_a_small_budget_each_instance_leaves_a_call_a_minute() {
    for (per_minute, made) in [(20, 17), (6, 3)] {
        let mut fleet = Fleet::start(per_minute, 0, &[]);
        tokio::time::sleep(5 * MINUTE).await;
        let calls = fleet.calls_of(10).await;
        assert!(calls.abs_diff(10 * made) <= made, "{calls} calls in ten minutes, of {per_minute} a minute");
        fleet.kill(0, 2).await;
        fleet.kill(1, 2).await;
        tokio::time::sleep(5 * MINUTE).await;
        let most = fleet.most_in_a_minute();
        assert!(most <= per_minute as usize, "{most} calls in a minute");
    }
}
