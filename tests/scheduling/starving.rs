//! Nobody who is answered whenever he is asked waits for those who are not: neither an app's interfaces for one of them, nor
//! its promoters for one of them, nor its polls for requests.

use std::hash::{DefaultHasher, Hash, Hasher};

use promoter_connector::model::feed::StartFrom;

use super::world::{App, Call, Reply, STOPPED, World, between, calm, errcode, json, longest_gap, order};

const HOURS: u64 = 2;
const PROMOTERS: usize = 20;
/// What the app's polls of touches come to, in a calm world.
const POLLS: usize = PROMOTERS * 60 * HOURS as usize;
/// So long a pause no poll that is answered makes: a minute between its turns, and what an answer or a token takes.
const GAP: f64 = 90.0;

/// What stops an app, is too fast or too much, or tells nothing.
const CODES: [i64; 14] =
    [48001, 48004, 50002, 50004, 40001, 40014, 40013, 61004, 40164, 45009, 45011, -1, 103_013, 47001];

fn app() -> App {
    App { touches: Some(order(60, 60, 600, StartFrom::Now)), in_flight: 4, ..App::new(PROMOTERS) }
}

fn with_orders() -> App {
    App { orders: Some(order(60, 60, 12 * 3600, StartFrom::Now)), ..app() }
}

fn with_requests(requests: usize) -> App {
    App { requests, ..app() }
}

async fn live(app: &App, answers: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> World {
    let world = World::new(answers);
    world.live(std::slice::from_ref(app), HOURS * 3600).await;
    world
}

fn is_touches(call: &Call) -> bool {
    call.path.ends_with("getrelation")
}

fn is_data(call: &Call) -> bool {
    !call.is_for_token()
}

/// Every promoter's touches are asked for without a pause.
fn assert_asked(world: &World, promoters: impl IntoIterator<Item = usize>, gap: f64, what: &str) {
    let touches = world.touches();
    for promoter in promoters {
        let whom = format!("p{promoter:03}");
        let of: Vec<_> = touches.iter().filter(|call| call.whom == whom).cloned().collect();
        assert!(between(&of, HOURS as f64 * 3600.0 - gap, f64::MAX) > 0, "{what}: {whom} is not asked to the end");
        assert!(longest_gap(&of) < gap, "{what}: {whom} is not asked for {} s", longest_gap(&of));
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_request_is_told_holds_up_no_polls() {
    for code in CODES {
        for app in [with_requests(1), with_requests(30)] {
            let world = live(&app, move |call| match call.path {
                "/promoter/getsharematerial" => errcode(code),
                _ => calm(call),
            })
            .await;
            assert_asked(&world, 0..PROMOTERS, GAP, &format!("{code}"));
            assert!(world.calls("getsharematerial").len() < 800, "{code}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_interface_that_is_not_opened_holds_up_no_other() {
    for code in CODES {
        let world = live(&with_orders(), move |call| match call.path {
            "/promoter/getorder" => errcode(code),
            _ => calm(call),
        })
        .await;
        assert_asked(&world, 0..PROMOTERS, GAP, &format!("{code}"));
        if code / 1000 == 48 {
            let pauses = HOURS as usize * 3600 / STOPPED.as_secs() as usize;
            let orders = world.orders().len();
            assert!((pauses - 1..pauses + 12).contains(&orders), "{orders} calls in {pauses} pauses");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_promoter_whose_account_is_frozen_holds_up_no_other() {
    for code in CODES {
        let world = live(&app(), move |call| if call.whom == "p007" { errcode(code) } else { calm(call) }).await;
        // A pace and a quota stop their interface, until it is shown that they are his alone.
        let gap = if matches!(code, 45009 | 45011) { 3.0 * STOPPED.as_secs_f64() + GAP } else { GAP };
        assert_asked(&world, (0..PROMOTERS).filter(|one| *one != 7), gap, &format!("{code}"));
        assert!(world.touches().len() > POLLS * 8 / 10, "{code}: {}", world.touches().len());
    }
}

#[tokio::test(start_paused = true)]
async fn half_of_all_promoters_who_are_frozen_hold_up_none_of_the_others() {
    let frozen = |call: &Call| is_data(call) && call.whom.as_bytes()[3] % 2 == 1;
    let world = live(&with_orders(), move |call| if frozen(call) { errcode(50002) } else { calm(call) }).await;
    let polls: Vec<_> = world.touches().into_iter().filter(|call| !frozen(call)).collect();
    assert!(polls.len() > POLLS / 2 * 8 / 10, "{}", polls.len());
    assert!(longest_gap(&polls) < STOPPED.as_secs_f64() + GAP);
}

/// The credentials are wrong for ten minutes. When they are mended, some interfaces hang.
#[tokio::test(start_paused = true)]
async fn after_a_stop_the_app_goes_on_though_an_interface_hangs() {
    for app in [with_orders(), with_requests(1), with_requests(30), App { requests: 30, ..with_orders() }] {
        let world = live(&app, |call| match call.at {
            at if is_data(call) && (90.0..690.0).contains(&at) => errcode(40125),
            _ if is_data(call) && !is_touches(call) => Reply::Hangs,
            _ => calm(call),
        })
        .await;
        let stop = 600.0 + 3.0 * (STOPPED.as_secs_f64() + 15.0);
        assert_asked(&world, 0..PROMOTERS, stop + GAP, "hangs");
        assert!(between(&world.touches(), 690.0 + stop, f64::MAX) > POLLS / 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_rejected_once_while_an_interface_hangs_stops_no_other() {
    for app in [with_orders(), with_requests(3)] {
        let world = live(&app, |call| match call.at {
            at if is_data(call) && (115.0..140.0).contains(&at) => errcode(40001),
            _ if is_data(call) && !is_touches(call) => Reply::Hangs,
            _ => calm(call),
        })
        .await;
        assert_asked(&world, 0..PROMOTERS, 3.0 * STOPPED.as_secs_f64(), "hangs");
        assert!(between(&world.touches(), 1100.0, f64::MAX) > POLLS * 7 / 10, "{}", world.touches().len());
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_stopped_indeed_costs_a_call_a_pause_and_goes_on_when_it_is_mended() {
    for code in [48001, 40164, 40013] {
        let mended = 3600.0;
        let world = live(&App { requests: 5, ..with_orders() }, move |call| {
            if is_data(call) && (600.0..mended).contains(&call.at) { errcode(code) } else { calm(call) }
        })
        .await;
        let calls: Vec<_> = world.calls("").into_iter().filter(is_data).collect();
        let pauses = 3000 / STOPPED.as_secs() as usize;
        // The first are in flight, and a few check what they are told.
        let asked = between(&calls, 660.0, mended);
        assert!((pauses - 1..=pauses + 1).contains(&asked), "{code}: {asked} calls in {pauses} pauses");
        assert!(between(&calls, 600.0, 660.0) < 20);
        assert!(between(&world.touches(), mended, mended + STOPPED.as_secs_f64() + GAP) >= PROMOTERS);
        assert!(between(&world.orders(), mended, mended + STOPPED.as_secs_f64() + GAP) >= PROMOTERS);
    }
}

/// Some answer that depends on nothing but these.
fn any_answer(seed: u64, of: impl Hash) -> Reply {
    let mut hasher = DefaultHasher::new();
    (seed, of).hash(&mut hasher);
    match hasher.finish() % (CODES.len() as u64 + 6) {
        0 => Reply::Hangs,
        1 => Reply::Refused,
        2 => Reply::Status(503, None),
        3 => json("<html>"),
        4 | 5 => json(r#"{"errcode":103006}"#),
        code => errcode(CODES[code as usize - 6]),
    }
}

/// Half of the promoters are answered on one interface, whatever becomes of all others there and elsewhere.
#[tokio::test(start_paused = true)]
async fn whatever_others_are_told_who_is_answered_has_his_turns() {
    for seed in 0..12 {
        let world = live(&App { requests: 8, ..with_orders() }, move |call| match call {
            _ if call.is_for_token() => calm(call),
            // Each interface is told the same for some time, or each of its promoters.
            _ if !is_touches(call) && seed % 2 == 0 => any_answer(seed, (call.path, call.at as u64 / 1500)),
            _ if !is_touches(call) => any_answer(seed, (call.path, &call.whom, call.at as u64 / 1500)),
            _ if call.whom.as_str() < "p010" => calm(call),
            // A pace and a quota would be the interface's own.
            _ if seed % 3 == 0 => match any_answer(seed, &call.whom) {
                Reply::Json(text) if text.contains("45009") || text.contains("45011") => errcode(50002),
                answer => answer,
            },
            _ => calm(call),
        })
        .await;
        let polls: Vec<_> = world.touches().into_iter().filter(|call| call.whom.as_str() < "p010").collect();
        // Others on the same interface, who are told to wait or nothing at all, hold them up at first, and so does what stops the
        // app, which is theirs, too.
        let (share, gap) = if seed % 3 == 0 { (5, 4.0 * STOPPED.as_secs_f64()) } else { (9, GAP) };
        assert!(polls.len() > POLLS / 2 * share / 10, "seed {seed}: {} of {}", polls.len(), POLLS / 2);
        assert!(longest_gap(&polls) < gap, "seed {seed}: {}", longest_gap(&polls));
    }
}
