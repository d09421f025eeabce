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
        let request = touches();
        let start = Instant::now();
        let canceller = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            cancel.cancel();
        };
        let (result, ()) = tokio::join!(client.page(&request, &cancel), canceller);
        assert_eq!(result.unwrap_err(), CallError::Cancelled, "{name}");
        assert!(start.elapsed() < Duration::from_millis(1100), "{name} took {:?}", start.elapsed());
    }
}

/// More than is read whatever others wait for.
fn large_page() -> Step {
    let rows = format!(r#",{{"openid":"u","create_time":1600000000,"path":"{}"}}"#, "p".repeat(200)).repeat(100);
    ok(&format!(r#"{{"relation_list":[{}],"total_cnt":100,"errcode":0}}"#, &rows[1..]))
}

fn page_call(client: &Arc<Client>) -> tokio::task::JoinHandle<Result<RowsResponse, CallError>> {
    let client = client.clone();
    tokio::spawn(async move { client.page(&touches(), &CancellationToken::new()).await })
}

#[tokio::test(start_paused = true)]
async fn pages_that_are_not_handed_on_are_few_and_keep_only_pages_waiting() {
    let Step::Body(_, body) = large_page() else { unreachable!("it is one") };
    let upstream = Upstream::new((0..5).map(|_| large_page()).chain([ok(NO_DATA)]), []);
    let reading = Buffer::new(2 * body.len() + 2048);
    let client = Arc::new(Client::new(settings(), upstream.clone()).reading_in(reading));
    let mut pages: Vec<_> = (0..5).map(|_| page_call(&client)).collect();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(upstream.data_calls(|_| ()).len(), 5);
    assert!(page_call(&client).await.unwrap().unwrap().page.rows.is_empty(), "a short answer waits for nobody");
    for read_at_once in [2, 2, 1] {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let (read, waiting): (Vec<_>, Vec<_>) = pages.into_iter().partition(|page| page.is_finished());
        assert_eq!(read.len(), read_at_once);
        for page in read {
            assert_eq!(page.await.unwrap().unwrap().page.rows.len(), 100);
        }
        pages = waiting;
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_calls_in_the_place_of_a_page_that_is_not_handed_on() {
    let upstream = Upstream::new([], []);
    let client = Arc::new(Client::new(ClientSettings { in_flight: 4, ..settings() }, upstream.clone()));
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(page_call(&client).await.unwrap().unwrap());
    }
    let waiting = page_call(&client);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(upstream.data_calls(|_| ()).len(), 3);
    // Another interface has permits of its own, and an answer without rows is handed on as it is.
    let orders = client.page(&rows_request(RowsQuery::Refunds), &CancellationToken::new()).await.unwrap();
    assert_eq!(orders.page.rows.len(), 0);
    client.page(&rows_request(RowsQuery::Refunds), &CancellationToken::new()).await.unwrap();
    answers.pop();
    waiting.await.unwrap().unwrap();
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
        client.page(&rows_request(RowsQuery::Refunds), &CancellationToken::new()).await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_day_without_calls_left_makes_calls_wait_until_one_is_earned() {
    let upstream = Upstream::new([], []);
    let budgets = [(Interface::GetRelation, BudgetSettings { per_minute: 0, per_day: 864 })].into();
    let client = Client::new(ClientSettings { budgets, ..settings() }, upstream.clone());
    let start = Instant::now();
    for _ in 0..3 {
        client.page(&touches(), &CancellationToken::new()).await.unwrap();
    }
    let waited = start.elapsed().as_secs();
    assert!((300..302).contains(&waited), "{waited} s");
}

/// Far more polls may wait for their call than calls are made at once.
#[tokio::test]
async fn a_poll_that_waits_for_its_call_takes_little_memory() {
    let client = Client::new(settings(), Upstream::new([], []));
    let (request, cancel) = (touches(), CancellationToken::new());
    let page = client.page(&request, &cancel);
    let bytes = size_of_val(&page);
    assert!(bytes < 2048, "{bytes} bytes");
}
