//! The rules as the connector puts them together, with a map as the topics.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use promoter_connector::model::batch::Batch;
use promoter_connector::model::cursor::Cursor;
use promoter_connector::model::fact::{Fact, FactContent, OrderStatus};
use promoter_connector::model::feed::{Feed, PerFeed};
use promoter_connector::model::pacing::{Failed, Pacing, PollRemedy, PollSettings};
use promoter_connector::model::promoter::Promoter;
use promoter_connector::model::pull::{Pull, PullJob, PullStep, RefundsJob, Taken};
use promoter_connector::model::rewind::{Rewind, RewindId};
use promoter_connector::model::state::State;
use promoter_connector::model::state_record::{StateKey, StateValue};
use promoter_connector::model::time::{UnixMillis, UnixTime};

use super::upstream::{HOUR, START, Upstream};

/// By feed, in seconds.
pub const LATENESS: PerFeed<i64> = PerFeed { touches: 600, orders: 12 * HOUR, refunds: 7 * 24 * HOUR };

/// The topics.
#[derive(Default)]
pub struct Durable {
    /// By name.
    pub published: BTreeMap<String, usize>,
    pub ids: BTreeMap<String, usize>,
    pub dead: BTreeMap<Vec<u8>, usize>,
    state: HashMap<String, Vec<u8>>,
}

impl Durable {
    fn commit(&mut self, batch: Batch) {
        for event in batch.events {
            *self.published.entry(name(&event.fact)).or_default() += 1;
            *self.ids.entry(event.fact.id.to_string()).or_default() += 1;
        }
        for letter in batch.dead_letters {
            *self.dead.entry(letter.raw.to_vec()).or_default() += 1;
        }
        for record in batch.state {
            match record.value {
                Some(value) => self.state.insert(record.key.encode(), value.encode()),
                None => self.state.remove(&record.key.encode()),
            };
        }
    }

    fn restore(&self) -> State {
        let mut state = State::default();
        for (key, value) in &self.state {
            let key = StateKey::decode(key.as_bytes()).unwrap();
            let value = StateValue::decode(&key, value).unwrap();
            state.restore(key, Some(value));
        }
        state.restored();
        state
    }
}

fn name(fact: &Fact) -> String {
    match &fact.content {
        FactContent::Touch(touch) => format!("touch {}", touch.openid),
        FactContent::Order { status: OrderStatus::Refunded, payment, .. } => format!("refunds {}", payment.trade_no),
        FactContent::Order { payment, .. } => format!("payment {}", payment.trade_no),
    }
}

/// What befalls one poll.
#[derive(Clone, Debug)]
pub struct PollStep {
    /// Seconds before it.
    pub pause: i64,
    pub feed: usize,
    /// Pages read before the poll ends early; most polls have fewer.
    pub ends_after: usize,
    /// Whether it is suspended then, to be taken up later, or fails.
    pub suspended: bool,
    /// Pages committed before the process dies, if it dies.
    pub dies_after: Option<usize>,
    /// Seconds between two pages.
    pub page_pause: i64,
    /// Behind which page the upstream's rows take another order, and which.
    pub reorder: Option<(usize, u64)>,
    /// How far beyond its cursor a pull that begins may take rows, in seconds, where others hold it back.
    pub ahead: Option<i64>,
    /// Before it the feed is to be asked again from so many seconds ago.
    pub rewound: Option<i64>,
}

impl PollStep {
    fn uneventful(feed: usize) -> PollStep {
        PollStep {
            pause: 0,
            feed,
            ends_after: 1000,
            suspended: false,
            dies_after: None,
            page_pause: 0,
            reorder: None,
            ahead: None,
            rewound: None,
        }
    }
}

pub struct Connector {
    promoter: Promoter,
    from: UnixTime,
    polls_refunds: bool,
    pub durable: Durable,
    pub state: State,
    pacing: PerFeed<Pacing>,
    suspended: PerFeed<Option<Pull>>,
    /// In which order the upstream shows its rows.
    order: PerFeed<u64>,
    pub now: i64,
    rewinds: u128,
}

impl Connector {
    pub fn new(from: UnixTime, polls_refunds: bool) -> Connector {
        let mut connector = Connector {
            promoter: Promoter::from_key("wx1/o1").unwrap(),
            from,
            polls_refunds,
            durable: Durable::default(),
            state: State::default(),
            pacing: PerFeed::new(|feed| Pacing::new(Cursor::begin(feed, from))),
            suspended: PerFeed::default(),
            order: PerFeed::default(),
            now: START.0,
            rewinds: 0,
        };
        connector.start();
        connector
    }

    /// A process begins with what the topics hold.
    fn start(&mut self) {
        self.suspended = PerFeed::default();
        self.state = self.durable.restore();
        assert_eq!(self.state.facts(), self.state.remembered());
        let begin = Feed::ALL.map(|feed| (self.promoter.clone(), feed, self.first_cursor(feed)));
        let mut batch = Batch::default();
        self.state.begin(begin.to_vec(), &mut batch);
        self.durable.commit(batch);
        self.pacing = PerFeed::new(|feed| Pacing::new(self.state.cursors(&self.promoter)[feed].unwrap()));
    }

    fn first_cursor(&self, feed: Feed) -> Cursor {
        match feed {
            Feed::Refunds if !self.polls_refunds => Cursor::memory(self.from),
            feed => Cursor::begin(feed, self.from),
        }
    }

    fn begin_pull(&self, feed: Feed, ahead: Option<i64>) -> Pull {
        let as_of = UnixTime(self.now);
        let pacing = &self.pacing[feed];
        let bound = ahead.map_or(UnixTime::MAX, |ahead| pacing.complete_before().plus(ahead));
        let (scope, bound) = pacing.bounded_scope(feed, rules(feed), as_of, bound);
        let ends_history = pacing.reads_the_rest(scope, rules(feed), as_of);
        let refunds = RefundsJob { lateness: LATENESS.refunds, ends_history };
        let job = PullJob {
            promoter: self.promoter.clone(),
            scope,
            complete_before: pacing.complete_before(),
            lateness: LATENESS[feed],
            refunds: (feed == Feed::Orders && !self.polls_refunds).then_some(refunds),
        };
        Pull::new(job, as_of).bounded_by(bound)
    }

    pub fn poll(&mut self, upstream: &Upstream, step: &PollStep) {
        let feed = Feed::ALL[step.feed];
        if feed == Feed::Refunds && !self.polls_refunds {
            return;
        }
        step.rewound.into_iter().for_each(|seconds| self.rewind(feed, seconds));
        let suspended = self.suspended[feed].take();
        // Once in a pull: were rows to move all the time, only the large number of them would show it.
        let reorder = step.reorder.filter(|_| suspended.is_none());
        let mut pull = suspended.unwrap_or_else(|| self.begin_pull(feed, step.ahead));
        for read in 1.. {
            let call = usize::try_from(self.now).unwrap() * 100 + read;
            let page = upstream.page(&pull.next_request(), self.now, call, self.order[feed]);
            let observed_at = UnixMillis(self.now * 1000);
            let Taken { page_facts, step: went } =
                pull.take_page(page.rows, page.total_cnt, page.start_id, observed_at);
            let mut batch = Batch::default();
            self.state.take(page_facts, &mut batch);
            assert_eq!(self.state.facts(), self.state.remembered());
            if step.dies_after == Some(read - 1) {
                // The batch is lost with the process.
                return self.start();
            }
            self.durable.commit(batch);
            if let Some((_, order)) = reorder.filter(|(page, _)| *page == read) {
                self.order[feed] = order;
            }
            let clock = Duration::from_secs(self.now.cast_unsigned());
            match went {
                Ok(PullStep::End(pulled)) => {
                    self.pacing[feed].after(pulled, rules(feed), clock);
                    return;
                }
                Err(_) => return self.fail(&pull, PollRemedy::SmallerRequest),
                Ok(PullStep::Narrowed) => {}
                Ok(PullStep::GoOn) if read < step.ends_after => self.now += step.page_pause,
                Ok(PullStep::GoOn) if step.suspended => {
                    self.suspended[feed] = pull.suspended();
                    return;
                }
                Ok(PullStep::GoOn) => return self.fail(&pull, PollRemedy::Time),
            }
        }
    }

    /// Its polls begin anew by the cursor that this leaves. Never to before the start: what happened before is to be published by nobody.
    fn rewind(&mut self, feed: Feed, seconds: i64) {
        self.rewinds += 1;
        let to = UnixTime(self.now).minus(seconds).max(self.from);
        let rewind = Rewind { id: RewindId(self.rewinds), to, republish: false };
        let mut batch = Batch::default();
        self.state.rewind(self.promoter.clone(), feed, rewind, &mut batch);
        assert_eq!(self.state.facts(), self.state.remembered());
        self.durable.commit(batch);
        self.suspended[feed] = None;
        self.pacing[feed] = Pacing::new(self.state.cursors(&self.promoter)[feed].unwrap());
    }

    fn fail(&mut self, pull: &Pull, remedy: PollRemedy) {
        let feed = pull.scope().feed();
        let failed = Failed { scope: pull.scope(), as_of: pull.as_of(), remedy };
        self.pacing[feed].after_failure(failed, Duration::from_secs(self.now.cast_unsigned()));
    }

    /// Polls until everything that was ever shown has passed the lateness.
    pub fn settle(&mut self, upstream: &Upstream) {
        for _ in 0..28 {
            self.now += 30 * HOUR;
            // Of orders as many days are open, or may close.
            for feed in [0, 0, 1, 1, 1, 1, 2] {
                self.poll(upstream, &PollStep::uneventful(feed));
            }
        }
    }
}

fn rules(feed: Feed) -> PollSettings {
    PollSettings { every: Duration::from_secs(60), idle_every: Duration::from_secs(900), lateness: LATENESS[feed] }
}
