//! How often is asked, and that no wait outlasts the wish.

use super::*;

#[tokio::test(start_paused = true)]
async fn cancelling_ends_every_kind_of_wait_at_once() {
    let per_minute = BudgetSettings { per_minute: 1, per_day: 0 };
    let paced = ClientSettings { budgets: [(Interface::GetRelation, per_minute)].into(), ..settings() };
    for (name, settings, data, tokens) in [
        ("an answer", settings(), vec![Step::Hangs], vec![]),
        ("a token", settings(), vec![], vec![Step::Hangs]),
        ("a pause", settings(), vec![Step::RetryAfter(503, 30)], vec![]),
        ("a budget", paced, vec![Step::RetryAfter(503, 0), Step::Hangs], vec![]),
    ] {
        let cancel = CancellationToken::new();
        let client = Client::new(settings, Upstream::new(data, tokens));
        let question = touches();
        let start = Instant::now();
        let canceller = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            cancel.cancel();
        };
        let (result, ()) = tokio::join!(client.page(&question, &cancel), canceller);
        assert_eq!(result, Err(CallError::Cancelled), "{name}");
        assert!(start.elapsed() < Duration::from_millis(1100), "{name} took {:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn calls_are_spaced_by_their_interface_s_budget() {
    let upstream = Upstream::new([], []);
    let per_minute = BudgetSettings { per_minute: 61, per_day: 0 };
    let budgets = [(Interface::GetRelation, per_minute)].into();
    let client = Client::new(ClientSettings { budgets, ..settings() }, upstream.clone());
    together(&client, 5).await;
    let at = upstream.data_calls(|sent| sent.at);
    for pair in at.windows(2).skip(1) {
        let apart = pair[1] - pair[0];
        assert!(apart >= Duration::from_millis(999) && apart <= Duration::from_millis(1002), "{apart:?}");
    }
    // The other interface has no limit.
    let start = Instant::now();
    for _ in 0..5 {
        client.page(&question(Ask::Refunds), &CancellationToken::new()).await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_spent_day_holds_the_interface_until_midnight_in_beijing() {
    let upstream = Upstream::new([], []);
    let budgets = [(Interface::GetRelation, BudgetSettings { per_minute: 0, per_day: 1 })].into();
    let client = Client::new(ClientSettings { budgets, ..settings() }, upstream.clone());
    let cancel = CancellationToken::new();
    client.page(&touches(), &cancel).await.unwrap();
    let Err(CallError::Held { hold: Hold::DailyBudget { day_left }, .. }) = client.page(&touches(), &cancel).await
    else {
        panic!("not held")
    };
    let midnight = Day::in_beijing(START).beijing_end();
    assert_eq!(day_left.as_secs(), u64::try_from(midnight.0 - START.0).unwrap());
    // It is looked at again before, which costs no call.
    tokio::time::advance(STOPPED).await;
    assert!(client.page(&touches(), &cancel).await.is_err());
    assert_eq!(upstream.data_calls(|_| ()).len(), 1);
    tokio::time::advance(day_left).await;
    assert!(client.page(&touches(), &cancel).await.is_ok());
}
