//! Requests that are never answered well, and the smaller ones that are made in their place.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_day_that_is_always_refused_keeps_no_other_day_from_being_read() {
    for bad in [r#"{"order_list":{},"total_cnt":1,"errcode":0}"#.to_owned(), errcode(103_004), errcode(99_999)] {
        let world = World::new(move |call| match call.date() {
            Some(20_231_112) => bad.clone(),
            Some(date) if date >= 20_231_113 && call.now() >= START => {
                order_page(&[order(&format!("of {date}"), 1, START - HOUR)])
            }
            _ => NO_DATA.into(),
        });
        world.live(&orders_from(since(3 * DAY)), 5 * DAY).await;
        let mut calls: BTreeMap<i64, usize> = BTreeMap::new();
        for call in world.calls("getorder") {
            *calls.entry(call.date().unwrap()).or_default() += 1;
        }
        // From the first day on; a day that has closed is asked for no more.
        assert_eq!(calls.keys().count(), 10, "{calls:?}");
        assert!(calls[&20_231_112] > 300 && calls[&20_231_113] == 1, "{calls:?}");
        assert_eq!(world.published(), 8);
    }
}

#[tokio::test(start_paused = true)]
async fn windows_that_are_refused_for_their_length_get_shorter() {
    let fresh = START + 600;
    let world = World::new(move |call| {
        let (begin, end) = call.window();
        if end - begin > 31 * DAY {
            return r#"{"errcode":103003,"errmsg":"time range too long"}"#.into();
        }
        touch_page(
            &if call.covers(fresh) && call.now() >= fresh { vec![touch("u", fresh)] } else { vec![] },
            None,
            None,
        )
    });
    world.live(&touches_from(StartFrom::Earliest), DAY).await;
    assert_eq!(world.published(), 1);
    let refused = world.calls("getrelation").iter().filter(|call| call.window().1 - call.window().0 > 31 * DAY).count();
    assert!(refused < 10, "{refused} calls were refused");
}

#[tokio::test(start_paused = true)]
async fn an_undated_pull_without_end_falls_back_to_days() {
    let days = 40;
    let world = World::new(|call| match call.date() {
        None => {
            let page: usize = call.start_id().map_or(0, |start_id| start_id.parse().unwrap());
            let row = order(&format!("t{page}"), 1, START - 35 * DAY);
            format!(r#"{{"order_list":[{row}],"total_cnt":1000,"start_id":"{}","errcode":0}}"#, page + 1)
        }
        Some(date) => order_page(&[order(&format!("of {date}"), 1, START - HOUR)]),
    });
    let setup = Setup { latency: Duration::from_millis(1), ..orders_from(since(days * DAY)) };
    world.live(&setup, HOUR).await;
    let dates: BTreeSet<_> = world.calls("getorder").iter().filter_map(Call::date).collect();
    assert_eq!(dates.len(), usize::try_from(days).unwrap() + 2, "from UTC's day of the start to today");
    let undated = world.calls("getorder").len() - world.calls("getorder").iter().filter_map(Call::date).count();
    assert_eq!(undated, 2000, "it is tried twice");
}

/// As by a gateway with a bound of its own.
#[tokio::test(start_paused = true)]
async fn windows_whose_answer_is_cut_off_get_shorter() {
    for promoters in [1, 3] {
        let fresh = START + 600;
        let world = World::new(move |call| {
            let (begin, end) = call.window();
            if end - begin > 31 * DAY {
                return r#"{"relation_list":[{"openid":"u","create_"#.into();
            }
            let is_shown = call.covers(fresh) && call.now() >= fresh;
            touch_page(&if is_shown { vec![touch("u", fresh)] } else { vec![] }, None, None)
        });
        world.live(&Setup { promoters, ..touches_from(StartFrom::Earliest) }, DAY).await;
        assert_eq!(world.published(), promoters);
    }
}

#[tokio::test(start_paused = true)]
async fn an_undated_pull_whose_answer_is_always_cut_off_falls_back_to_days() {
    for promoters in [1, 3] {
        let world = World::new(|call| match call.date() {
            None => r#"{"order_list":[{"openid":"u","mch_"#.into(),
            Some(20_231_115) => order_page(&[order("x", 1, START + 5)]),
            Some(_) => NO_DATA.into(),
        });
        world.live(&Setup { promoters, ..orders_from(since(40 * DAY)) }, DAY).await;
        assert_eq!(world.published(), promoters);
    }
}

/// As by an upstream that runs out of its own time.
#[tokio::test(start_paused = true)]
async fn windows_that_are_answered_with_busy_for_ever_get_shorter() {
    for code in [-1, 103_009] {
        let fresh = START + 600;
        let world = World::new(move |call| {
            let (begin, end) = call.window();
            if end - begin > 31 * DAY {
                return errcode(code);
            }
            let is_shown = call.covers(fresh) && call.now() >= fresh;
            touch_page(&if is_shown { vec![touch("u", fresh)] } else { vec![] }, None, None)
        });
        world.live(&touches_from(StartFrom::Earliest), DAY).await;
        assert_eq!(world.published(), 1, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_undated_pull_that_is_answered_with_busy_for_ever_falls_back_to_days() {
    let world = World::new(|call| match call.date() {
        None => errcode(-1),
        Some(20_231_115) => order_page(&[order("x", 1, START + 5)]),
        Some(_) => NO_DATA.into(),
    });
    world.live(&orders_from(since(40 * DAY)), DAY).await;
    assert_eq!(world.published(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_busy_for_a_while_is_asked_the_same_again() {
    let world = World::new(|call| if call.now() < START + 90 { errcode(-1) } else { NO_DATA.into() });
    world.live(&touches_from(since(20 * DAY)), 600).await;
    let windows: BTreeSet<_> = world.calls("getrelation").iter().take(10).map(Call::window).collect();
    assert_eq!(windows.len(), 1, "{windows:?}");
}
