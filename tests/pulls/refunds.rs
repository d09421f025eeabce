//! Refunds over whole lives, polled or only met by orders.

use promoter_connector::model::fact::{FactContent, OrderStatus};
use promoter_connector::model::feed::StartFrom;
use promoter_connector::model::time::{Day, UnixTime};

use super::upstream::{Call, DAY, HOUR, NO_DATA, START, Setup, World, feed, order, order_page, refund};

fn orders_alone() -> Setup {
    Setup { orders: Some(feed(600, 900, 12 * HOUR, StartFrom::Now)), ..Setup::default() }
}

fn refunds_alone() -> Setup {
    Setup { refunds: Some(feed(3600, 6 * 3600, 7 * DAY, StartFrom::Now)), ..Setup::default() }
}

fn both() -> Setup {
    Setup { orders: orders_alone().orders, ..refunds_alone() }
}

/// Beijing's.
fn date_of(time: i64) -> i64 {
    i64::from(Day::in_beijing(UnixTime(time)).as_yyyymmdd())
}

/// Answers with a row of an order paid at `paid`, to whoever asks for its date, and for refunds where it `is_one`.
fn shown(call: &Call, row: String, paid: i64, is_one: bool) -> String {
    let fits = call.date().map_or(is_one, |date| date == date_of(paid));
    order_page(&if fits { vec![row] } else { vec![] })
}

/// What was published of orders, in its order.
fn events(world: &World) -> Vec<(OrderStatus, i64)> {
    let durable = world.durable.lock().unwrap();
    let told = durable.events.iter().map(|event| match &event.fact.content {
        FactContent::Order { status, payment, .. } => (*status, payment.status_code),
        FactContent::Touch(_) => panic!("no touches are polled"),
    });
    told.collect()
}

fn chunks(world: &World) -> usize {
    world.durable.lock().unwrap().state.keys().filter(|key| key.starts_with("seen/")).count()
}

#[tokio::test(start_paused = true)]
async fn a_refund_without_its_time_that_orders_go_on_meeting_costs_a_record_now_and_then_after_a_restart_too() {
    let paid = START + 60;
    let world =
        World::new(
            move |call| {
                if call.now() < paid { NO_DATA.into() } else { shown(call, refund("a", paid, 0), paid, true) }
            },
        );
    world.live(&orders_alone(), 2 * HOUR).await;
    let before = chunks(&world);
    for _ in 0..3 {
        world.live(&orders_alone(), 8 * HOUR).await;
    }
    assert_eq!(world.published(), 2);
    assert!(chunks(&world) < before + 10, "{before} records, then {}", chunks(&world));
}

#[tokio::test(start_paused = true)]
async fn refunds_that_are_enabled_later_begin_where_orders_have_begun_to_meet_them() {
    let (paid, refunded) = (START + 60, START + HOUR + 600);
    for told in [refunded, 0] {
        for later in [orders_alone(), both()] {
            let world = World::new(move |call| match call.now() {
                now if now < paid => NO_DATA.into(),
                now if now < refunded => shown(call, order("a", 1, paid), paid, false),
                _ => shown(call, refund("a", paid, told), paid, true),
            });
            world.live(&orders_alone(), HOUR).await;
            world.downtime(HOUR).await;
            world.live(&later, 2 * DAY).await;
            assert_eq!(events(&world), [(OrderStatus::Paid, 1), (OrderStatus::Refunded, 2)], "told {told}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn refunds_that_are_enabled_with_a_time_begin_there() {
    let mut later = both();
    later.refunds = Some(feed(3600, 6 * 3600, 7 * DAY, StartFrom::At(UnixTime(START + 2 * HOUR))));
    for (refunded, published) in [(START + 2 * HOUR - 1, 0), (START + 2 * HOUR, 1)] {
        let world = World::new(move |call| {
            let fits = call.now() >= refunded && call.date().is_none();
            order_page(&if fits { vec![refund("a", START - 9 * DAY, refunded)] } else { vec![] })
        });
        world.live(&orders_alone(), HOUR).await;
        world.downtime(2 * HOUR).await;
        world.live(&later, DAY).await;
        assert_eq!(world.published(), published);
    }
}

/// What nobody told is not guessed, and is one event whichever feed shows it first.
#[tokio::test(start_paused = true)]
async fn a_row_among_refunds_that_is_neither_paid_nor_refunded_is_one_event_of_unknown_status() {
    let statuses = [("", 0), (r#""status":null,"#, 0), (r#""status":"refund","#, 0), (r#""status":3,"#, 3)];
    for (status, code) in statuses {
        for (setup, paid) in [(refunds_alone(), START - DAY), (both(), START - DAY), (both(), START + 60)] {
            let world = World::new(move |call| {
                let (now, refunded) = (call.now(), START + 3700);
                let row = refund("t", paid, refunded).replace(r#""status":2,"#, status);
                if now < refunded { NO_DATA.into() } else { shown(call, row, paid, true) }
            });
            world.live(&setup, 5 * DAY).await;
            world.live(&setup, 12 * DAY).await;
            assert_eq!(events(&world), [(OrderStatus::Unknown, code)], "{status:?}, paid {}", paid - START);
            assert!(chunks(&world) < 20, "{} records", chunks(&world));
            let letters = world.durable.lock().unwrap().dead_letters.len();
            assert_eq!(letters, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_first_pull_of_refunds_shows_in_an_unknown_status_is_judged_by_its_payment() {
    for (paid, published) in [(START - DAY, 0), (START + 10, 1)] {
        let world = World::new(move |call| {
            let row = refund("t", paid, 0).replace(r#""status":2,"#, r#""status":3,"#);
            if call.now() < paid { NO_DATA.into() } else { shown(call, row, paid, true) }
        });
        let at_first = if paid > START { 60 } else { 0 };
        world.downtime(at_first).await;
        let refunds = Some(feed(3600, 6 * 3600, 7 * DAY, StartFrom::At(UnixTime(START))));
        world.live(&Setup { refunds, ..Setup::default() }, 20 * DAY).await;
        assert_eq!(world.published(), published);
    }
}

/// By then orders have forgotten whether they told it.
#[tokio::test(start_paused = true)]
async fn an_unknown_status_that_refunds_show_long_after_orders_did_is_not_told_again() {
    let (paid, listed) = (START + 60, START + 10 * DAY);
    let world = World::new(move |call| {
        let row = order("t", 3, paid);
        if call.now() < paid { NO_DATA.into() } else { shown(call, row, paid, call.now() >= listed) }
    });
    world.live(&both(), 20 * DAY).await;
    assert_eq!(events(&world), [(OrderStatus::Unknown, 3)]);
}

/// It is 06:13 in Beijing, and still the day before in UTC, so orders begin with that day.
#[tokio::test(start_paused = true)]
async fn what_orders_meet_in_their_first_reading_of_the_days_they_begin_with_is_history_where_it_was_paid_before() {
    let is_dated = |call: &Call, paid: i64| call.date().is_none_or(|date| date == date_of(paid));
    for setup in [both(), orders_alone()] {
        for paid in [START - 4 * HOUR, START - 8 * HOUR] {
            // From before the start; and first shown when both days were read.
            for (refunded, published) in [(START - HOUR, 0), (START + 600, 1)] {
                let world = World::new(move |call| {
                    let fits = is_dated(call, paid) && call.now() >= refunded;
                    order_page(&if fits { vec![refund("a", paid, 0)] } else { vec![] })
                });
                world.live(&setup, HOUR).await;
                world.live(&setup, 2 * DAY).await;
                let refunds_polled = setup.refunds.is_some();
                assert_eq!(world.published(), published, "paid {}, polled {refunds_polled}", paid - START);
            }
        }
    }
}

/// One of the two days can't be read at first.
#[tokio::test(start_paused = true)]
async fn a_day_that_fails_at_first_shows_history_all_the_same() {
    let paid = START - 8 * HOUR;
    let world = World::new(move |call| match call.date() {
        Some(date) if date == date_of(paid) && call.now() < START + HOUR => super::errcode(103_004),
        _ => shown(call, refund("a", paid, 0), paid, true),
    });
    world.live(&orders_alone(), 2 * DAY).await;
    assert_eq!(world.published(), 0);
}
