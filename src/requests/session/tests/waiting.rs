//! Far more requests of one app than have room in memory, and another app beside it.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::*;
use crate::requests::waiting::{WaitingRequests, WaitsFor};

const FEW: usize = 200;
/// Far more than any app's room in memory.
const MANY: usize = 2000;

/// One partition in which many requests of one app stand between few of another.
fn topic_of_two(deadline_seconds: impl Fn(usize) -> Option<i64>) -> MemoryRequestTopic {
    let topic = MemoryRequestTopic::new(1);
    for number in 0..MANY {
        let location = |more: usize| RecordOffset { partition: 0, offset: i64::try_from(2 * number + more).unwrap() };
        topic.put(request_for("wx2", location(0), "0", deadline_seconds(number)));
        if number % (MANY / FEW) == 0 {
            topic.put(request_for("wx1", location(1), "0", None));
        }
    }
    topic
}

fn answered_for(topic: &MemoryRequestTopic, app: &str) -> usize {
    let of_app =
        |answered: &CommittedAnswer| matches!(&answered.answer, RequestAnswer::Reply(result) if result.app_id == app);
    topic.answers().iter().filter(|answered| of_app(answered)).count()
}

#[tokio::test(start_paused = true)]
async fn as_many_requests_as_may_wait_for_one_app_no_other_waits_for_them() {
    for health in [Health::Stopped, Health::Hangs] {
        let [well, ill] = [TimedUpstream::new(Health::Well), TimedUpstream::new(health)];
        let topic = topic_of_two(|_| None);
        let executor = executor_of([app("wx1", &well, 4), app("wx2", &ill, 4)]);
        calm_sessions_of(&topic, &executor, FEW, Duration::from_secs(10)).await;
        assert_eq!((answered_for(&topic, "wx1"), answered_for(&topic, "wx2")), (FEW, 0));
        // What is kept of all that waits is small.
        let tracker = &topic.answered()[&0].trackers[&TrackerKey::new(None, "wx2")];
        assert_eq!((tracker.first, tracker.answered.len(), tracker.expired.steps().len()), (0, 0, 0));

        // Another process goes on there, and so does the app in the end.
        ill.becomes(Health::Well);
        let executor = executor_of([app("wx1", &well, 4), app("wx2", &ill, 4)]);
        calm_sessions_of(&topic, &executor, FEW + MANY, Duration::from_secs(600)).await;
        assert_eq!(answered(&topic), topic.locations());
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_well_again_is_given_what_has_waited_without_a_restart() {
    let [well, ill] = [TimedUpstream::new(Health::Well), TimedUpstream::new(Health::Stopped)];
    let topic = topic_of_two(|_| None);
    let executor = executor_of([app("wx1", &well, 4), app("wx2", &ill, 4)]);
    let recovering = async {
        tokio::time::sleep(Duration::from_secs(700)).await;
        assert_eq!(answered_for(&topic, "wx2"), 0);
        ill.becomes(Health::Well);
    };
    let wanted = FEW + MANY;
    tokio::join!(calm_sessions_of(&topic, &executor, wanted, Duration::from_secs(3000)), recovering);
    assert_eq!(answered(&topic), topic.locations());
}

#[tokio::test(start_paused = true)]
async fn deadlines_pass_while_requests_wait_unread_also_over_a_restart() {
    let [well, ill] = [TimedUpstream::new(Health::Well), TimedUpstream::new(Health::Stopped)];
    // Every third without a deadline; the others within the first hundred seconds.
    let deadline = |number: usize| (!number.is_multiple_of(3)).then(|| i64::try_from(number % 100).unwrap());
    let topic = topic_of_two(deadline);
    let with_deadline = (0..MANY).filter(|number| deadline(*number).is_some()).count();
    for seconds in [50, 80] {
        let executor = executor_of([app("wx1", &well, 4), app("wx2", &ill, 4)]);
        calm_sessions_of(&topic, &executor, usize::MAX, Duration::from_secs(seconds)).await;
    }
    assert_eq!(answered_for(&topic, "wx2"), with_deadline);
    for CommittedAnswer { location, answer, at, .. } in topic.answers() {
        let RequestAnswer::Reply(result) = answer else { panic!("{answer:?}") };
        if result.app_id != "wx2" {
            continue;
        }
        assert!(matches!(result.outcome, MaterialOutcome::Expired(_)), "{result:?}");
        let late =
            (at - well.began).as_secs_f64() - deadline(usize::try_from(location.offset / 2).unwrap()).unwrap() as f64;
        assert!((0.0..8.0).contains(&late), "{location:?} is answered {late} s after its deadline");
    }
    let offsets = topic.answered();
    let tracker = &offsets[&0].trackers[&TrackerKey::new(None, "wx2")];
    assert!(tracker.answered.len() < 600 && tracker.expired.steps().len() < 20, "{tracker:?}");
    ill.becomes(Health::Well);
    let executor = executor_of([app("wx1", &well, 4), app("wx2", &ill, 4)]);
    calm_sessions_of(&topic, &executor, FEW + MANY, Duration::from_secs(600)).await;
    assert_eq!(answered(&topic), topic.locations());
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_taken_out_of_the_configuration_leaves_no_request_without_a_reply() {
    let [well, ill] = [TimedUpstream::new(Health::Well), TimedUpstream::new(Health::Stopped)];
    let topic = topic_of_two(|_| None);
    let executor = executor_of([app("wx1", &well, 4), app("wx2", &ill, 4)]);
    calm_sessions_of(&topic, &executor, FEW, Duration::from_secs(10)).await;
    let executor = executor_of([app("wx1", &well, 4)]);
    calm_sessions_of(&topic, &executor, FEW + MANY, Duration::from_secs(600)).await;
    assert_eq!(answered(&topic), topic.locations());
}

#[tokio::test(start_paused = true)]
async fn however_many_are_refused_behind_one_that_waits_it_is_answered_in_the_end() {
    let ill = TimedUpstream::new(Health::Stopped);
    let topic = MemoryRequestTopic::new(2);
    let put = |partition: i32, offsets: std::ops::Range<i64>, path: &str| {
        offsets.for_each(|offset| topic.put(request_for("wx2", RecordOffset { partition, offset }, path, None)));
    };
    // They take all the room of their app, and leave none for those of the other partition.
    put(0, 0..300, "0");
    let later = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        put(1, 0..5, "0");
        // None without a path needs a call.
        put(1, 5..2000, "");
        tokio::time::sleep(Duration::from_secs(5)).await;
        ill.becomes(Health::Well);
    };
    let executor = executor_of([app("wx2", &ill, 4)]);
    tokio::join!(calm_sessions_of(&topic, &executor, 2300, Duration::from_secs(3600)), later);
    assert_eq!(answered(&topic), topic.locations());
}

#[tokio::test(start_paused = true)]
async fn what_has_waited_is_read_again_once() {
    let topic = topic_holding((0..MANY).map(|number| u64::from(number % 7 == 0)));
    topic.give_large_pieces();
    calm_sessions_of(&topic, &executor(16), MANY, Duration::from_secs(600)).await;
    assert_eq!(answered(&topic), topic.locations());
    let read_again = topic.read_again();
    let distinct: BTreeSet<_> = read_again.iter().map(|location| (location.partition, location.offset)).collect();
    assert!(distinct.len() > MANY / 2, "{} of {MANY} had no room", distinct.len());
    assert_eq!(read_again.len(), distinct.len());
}

#[tokio::test(start_paused = true)]
async fn what_requests_in_memory_wait_for_is_counted_while_they_do() {
    for (health, why, other) in
        [(Health::Stopped, WaitsFor::AppStopped, WaitsFor::Slot), (Health::Hangs, WaitsFor::Slot, WaitsFor::AppStopped)]
    {
        let [well, ill] = [TimedUpstream::new(Health::Well), TimedUpstream::new(health)];
        let topic = topic_of_two(|_| None);
        let waiting: Arc<WaitingRequests> = Arc::default();
        let counted = app("wx2", &ill, 4).counted_in(waiting.clone());
        let executor = executor_of([app("wx1", &well, 4), counted]);
        let looking = async {
            let deadline = Instant::now() + Duration::from_secs(60);
            while waiting.count(why) < 200 {
                assert!(Instant::now() < deadline, "{why:?}: {waiting:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(waiting.count(other) < 200, "{why:?}: {waiting:?}");
        };
        // More than will be answered: it goes on until its time is over.
        tokio::join!(calm_sessions_of(&topic, &executor, FEW + 1, Duration::from_secs(5)), looking);
        // What the session has given up is dropped when the runtime comes to it.
        let is_over = async {
            while WaitsFor::ALL.iter().any(|why| waiting.count(*why) > 0) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), is_over).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_backlog_is_counted_from_the_first_request_without_an_answer_on() {
    let [well, ill] = [TimedUpstream::new(Health::Well), TimedUpstream::new(Health::Stopped)];
    let topic = topic_of_two(|_| None);
    let executor = executor_of([app("wx1", &well, 4), app("wx2", &ill, 4)]);
    let (totals, stop) = (Arc::<RequestTotals>::default(), CancellationToken::new());
    let lag = || totals.waiting.lag_records.load(Ordering::Relaxed);
    let end = topic.locations().last().unwrap().offset.cast_unsigned() + 1;
    let looking = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(lag(), end, "the first of all waits");
        ill.becomes(Health::Well);
        while topic.answers_count() < FEW + MANY {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(2 * LOOK_EVERY).await;
        assert_eq!(lag(), 0);
        stop.cancel();
    };
    tokio::join!(counted_session(log(&topic, []), &executor, totals.clone(), &stop), looking);
}
