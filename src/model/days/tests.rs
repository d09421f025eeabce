//! Days against a plain list of where every cursor stands and of all that was published, whatever happens in whatever order.

use proptest::prelude::*;

use super::*;

const APP: &str = "wx1";
const FEED: Feed = Feed::Touches;
const BASE: i32 = 20_000;
const PROMOTERS: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    /// The promoter begins, or begins anew, with that day.
    Begin(usize, i32),
    /// A page moves its cursor by so many days, and brings so many events of a day before or behind that.
    Page {
        of: usize,
        days: i32,
        published: u64,
        on: i32,
        dead_letters: u64,
    },
    /// Its cursor goes back by so many days.
    Rewind(usize, i32),
    /// Nobody names it any more, or somebody does again.
    Aside(usize, bool),
    Restart,
    /// The ledger is there from now on, or is not.
    Ledger(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0..PROMOTERS, 0..20).prop_map(|(of, day)| Step::Begin(of, day)),
        8 => (0..PROMOTERS, 0..4, 0..3u64, -6..3, 0..2u64).prop_map(|(of, days, published, on, dead_letters)| {
            Step::Page { of, days, published, on, dead_letters }
        }),
        1 => (0..PROMOTERS, 1..6).prop_map(|(of, days)| Step::Rewind(of, days)),
        1 => (0..PROMOTERS, any::<bool>()).prop_map(|(of, aside)| Step::Aside(of, aside)),
        1 => Just(Step::Restart),
        1 => any::<bool>().prop_map(Step::Ledger),
    ];
    prop::collection::vec(step, 0..60)
}

/// What is true, and what the topics hold.
#[derive(Default)]
struct Truth {
    days: Days,
    cursors: [Option<Day>; PROMOTERS],
    aside: [bool; PROMOTERS],
    /// Everything that was published or lost as a dead letter, by day.
    counts: BTreeMap<Day, (u64, u64)>,
    /// The first day that anybody stood on.
    first: Option<Day>,
    tells: bool,
    state: BTreeMap<String, Vec<u8>>,
    ledger: BTreeMap<Day, CountedDay>,
    now: i64,
}

impl Truth {
    fn begin() -> Truth {
        let mut truth = Truth { tells: true, ..Truth::default() };
        truth.days.tell(true);
        truth
    }

    /// Makes a batch durable.
    fn write(&mut self, batch: Batch) {
        for DayRecord { shard, content } in batch.days {
            assert_eq!(shard, Shard(0));
            self.state.insert(content.key(), content.value());
            if let DayContent::Counted(day) = content
                && day.is_told()
            {
                assert!(self.tells, "there is no ledger");
                self.ledger.insert(day.key.day, day);
            }
        }
    }

    fn stands(&self, of: usize) -> Option<Day> {
        self.cursors[of].filter(|_| !self.aside[of])
    }

    fn least(&self) -> Option<Day> {
        (0..PROMOTERS).filter_map(|of| self.stands(of)).min()
    }

    /// The cursor stands elsewhere.
    fn change(&mut self, of: usize, to: Option<Day>, aside: bool) {
        let before = self.stands(of);
        (self.cursors[of], self.aside[of]) = (to, aside);
        let after = self.stands(of);
        self.days.moved(APP, standings(before), standings(after));
        self.first = self.first.into_iter().chain(after).min();
    }

    fn step(&mut self, step: Step) {
        let mut batch = Batch::default();
        match step {
            Step::Begin(of, day) if self.cursors[of].is_none() => {
                self.days.begin(&mut batch);
                self.change(of, Some(Day::numbered(BASE + day)), self.aside[of]);
                self.days.reopen(APP, &mut batch);
            }
            Step::Page { of, days, published, on, dead_letters } => {
                let Some(cursor) = self.cursors[of] else { return };
                let to = Day::numbered(cursor.number() + days);
                self.change(of, Some(to), self.aside[of]);
                let mut tally = DayTally::default();
                let day = Day::numbered(cursor.number() + on);
                let counts = self.counts.entry(day).or_default();
                for _ in 0..published {
                    tally.published(FEED, day.beijing_start());
                    tally.duplicate(FEED, day.beijing_start());
                    counts.0 += 1;
                }
                for _ in 0..dead_letters {
                    tally.dead_letter(FEED, day.beijing_start().as_millis());
                    counts.1 += 1;
                }
                self.now += 1;
                self.days.take(APP, tally, UnixMillis(self.now), &mut batch);
                self.write(batch);
                return self.check_all_is_told();
            }
            Step::Rewind(of, days) => {
                let Some(cursor) = self.cursors[of] else { return };
                self.change(of, Some(Day::numbered(cursor.number() - days)), self.aside[of]);
                self.days.reopen(APP, &mut batch);
            }
            Step::Aside(of, aside) => {
                self.change(of, self.cursors[of], aside);
                self.days.reopen(APP, &mut batch);
            }
            Step::Restart => self.restart(&mut batch),
            Step::Ledger(tells) => {
                self.tells = tells;
                self.restart(&mut batch);
            }
            Step::Begin(..) => {}
        }
        self.write(batch);
    }

    fn restart(&mut self, batch: &mut Batch) {
        self.days = Days::default();
        for (key, value) in &self.state {
            self.days.restore(DayContent::decode(key.as_bytes(), value).unwrap());
        }
        self.days.restored(self.cursors.iter().any(Option::is_some));
        for of in 0..PROMOTERS {
            self.days.moved(APP, standings(None), standings(self.stands(of)));
        }
        self.days.all_stand();
        self.days.tell(self.tells);
        if self.days.has_untold() {
            self.days.tell_untold(batch);
        }
    }

    /// In each committed state: what a record says is what the topics hold, and nobody stands on a day that is closed.
    fn check(&self) {
        if !self.tells {
            return;
        }
        for (day, told) in &self.ledger {
            let (published, dead_letters) = self.counts.get(day).copied().unwrap_or_default();
            assert_eq!(
                (told.status.counts.published, told.status.counts.dead_letters),
                (published, dead_letters),
                "{day}"
            );
            if told.status.closed_at.is_some() {
                assert!(
                    self.least().is_none_or(|least| least > *day),
                    "{day} is closed, and somebody stands on {:?}",
                    self.least()
                );
            }
            let spoken_for = self.counts.range(told.status.since..*day);
            assert_eq!(
                spoken_for.filter(|(_, counts)| **counts != (0, 0)).count(),
                0,
                "{day} speaks for days that are not empty"
            );
        }
    }

    /// Behind a page every day that all have passed is closed, by its own record or by one that speaks for it.
    fn check_all_is_told(&self) {
        let (Some(first), Some(least)) = (self.first, self.least()) else { return };
        if !self.tells {
            return;
        }
        let mut day = first;
        while day < least {
            let (_, told) = self.ledger.range(day..).next().expect("a day that all have passed is told");
            assert!(told.status.since <= day && told.status.closed_at.is_some(), "{day}: {told:?}");
            day = day.next();
        }
    }
}

proptest! {
    #[test]
    fn what_is_told_is_what_the_topics_hold_and_nobody_stands_on_a_closed_day(steps in steps()) {
        let mut truth = Truth::begin();
        for step in steps {
            truth.step(step);
            truth.check();
        }
    }
}

/// Those of a promoter of whom that feed alone is polled.
fn standings(of_feed: Option<Day>) -> Standings {
    PerFeed::new(|feed| of_feed.filter(|_| feed == FEED))
}

#[test]
fn a_shard_that_was_polled_before_days_were_counted_tells_those_that_begin_later() {
    let mut days = Days::default();
    days.restored(true);
    days.tell(true);
    let (today, mut batch) = (Day::numbered(BASE), Batch::default());
    days.moved(APP, standings(None), standings(Some(today.previous())));
    let mut page = |days: &mut Days, from: Day, to: Day, on: Day| {
        let mut tally = DayTally::default();
        tally.published(FEED, on.beijing_start());
        days.moved(APP, standings(Some(from)), standings(Some(to)));
        days.take(APP, tally, today.beijing_start().as_millis(), &mut batch);
        let told = std::mem::take(&mut batch).days.into_iter().filter_map(|record| match record.content {
            DayContent::Counted(day) if day.is_told() => {
                Some((day.key.day, day.status.since, day.status.counts.published))
            }
            DayContent::Counted(_) | DayContent::Begun(_) => None,
        });
        told.collect::<Vec<_>>()
    };
    let first = today.next().next();
    assert_eq!(page(&mut days, today.previous(), first, today), []);
    assert_eq!(page(&mut days, first, first, first), []);
    assert_eq!(page(&mut days, first, first.next(), today), [(first, first, 1)]);
}

#[test]
fn orders_stand_a_day_longer_for_a_payment_may_be_listed_under_the_day_after() {
    let midnight = Day::numbered(BASE).beijing_start();
    let cursor = |start| Cursor { start, complete_before: midnight, polled: true, history_seen: true };
    let long_ago = UnixTime::EARLIEST;
    assert_eq!(standing(Feed::Touches, cursor(long_ago), midnight), Some(Day::numbered(BASE)));
    assert_eq!(standing(Feed::Orders, cursor(long_ago), midnight), Some(Day::numbered(BASE - 1)));
    assert_eq!(standing(Feed::Orders, cursor(midnight.plus(5)), midnight), Some(Day::numbered(BASE)));
    assert_eq!(standing(Feed::Refunds, Cursor { polled: false, ..cursor(long_ago) }, midnight), None);
}

#[test]
fn many_empty_days_take_one_record_beside_that_of_the_first() {
    let (mut days, mut batch) = (Days::default(), Batch::default());
    days.tell(true);
    let begin = Day::numbered(BASE);
    days.begin(&mut batch);
    days.moved(APP, standings(None), standings(Some(begin)));
    days.reopen(APP, &mut batch);
    days.moved(APP, standings(Some(begin)), standings(Some(Day::numbered(BASE + 365))));
    days.take(APP, DayTally::default(), UnixMillis(1), &mut batch);
    let told = batch.days.iter().filter_map(|record| match &record.content {
        DayContent::Counted(day) if day.is_told() => Some((day.key.day, day.status.since)),
        DayContent::Counted(_) | DayContent::Begun(_) => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [(begin, begin), (Day::numbered(BASE + 364), begin.next())]);
}
