//! What a session says of its work, minute by minute.

use async_trait::async_trait;

use super::*;

/// An upstream that answers every request so, or not at all.
#[derive(Clone)]
pub(super) struct Same {
    pub began: tokio::time::Instant,
    pub answer: Option<&'static str>,
}

#[async_trait]
impl Transport for Same {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let Some(answer) = self.answer else {
            return Err(TransportError::Connection("no such host is known".into()));
        };
        let token = r#"{"access_token":"t","expires_in":7200}"#;
        let body = Bytes::from(if request.path.starts_with("/promoter/") { answer } else { token });
        Ok(HttpResponse { status: 200, body, date: None, retry_after: None })
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(NOW.0 * 1000 + i64::try_from(self.began.elapsed().as_millis()).unwrap())
    }
}

/// What is logged within ten minutes.
async fn ten_minutes(answer: Option<&'static str>) -> Captured {
    ten_minutes_of(touches_only(plan(StartFrom::Now)), answer).await
}

async fn ten_minutes_of(feeds: PerFeed<Option<FeedPlan>>, answer: Option<&'static str>) -> Captured {
    ten_minutes_of_all(1, feeds, answer).await
}

/// The same where so many promoters are polled.
async fn ten_minutes_of_all(
    promoters: usize,
    feeds: PerFeed<Option<FeedPlan>>,
    answer: Option<&'static str>,
) -> Captured {
    let began = tokio::time::Instant::now();
    let captured = Captured::start();
    let upstream = Same { began: tokio::time::Instant::now(), answer };
    let mut pipeline = pipeline(&upstream, promoter(feeds));
    let named = |number| (Promoter::from_key(&format!("wx1/o{number}")).unwrap(), ConfiguredPromoter::default());
    let app = &mut Arc::get_mut(&mut pipeline.apps).unwrap()[0];
    app.promoters = (1..=promoters).map(named).collect::<Vec<_>>().into();
    let durable = Arc::new(Mutex::new(DurableTopics::default()));
    let stop = CancellationToken::new();
    let make_log =
        || MemoryLog::new(durable.clone(), FaultScript::new(|| (Duration::ZERO, ScriptedFault::None), stop.clone()));
    let end = async {
        tokio::time::sleep(10 * MINUTE + Duration::from_secs(1)).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(supervisor::run(&pipeline, make_log, &stop, retry()), end);
    assert_eq!(ended, Ok(()));
    assert!(began.elapsed() < 10 * MINUTE + Duration::from_secs(2), "a stop is heeded at once");
    captured
}

#[tokio::test(start_paused = true)]
async fn a_quiet_day_is_told_as_one() {
    let captured = ten_minutes(Some(r#"{"errcode":0,"total_cnt":0}"#)).await;
    let summaries = captured.events("summary");
    assert_eq!(summaries.len(), 10);
    let sum = |field: &str| summaries.iter().map(|summary| summary[field].as_u64().unwrap()).sum::<u64>();
    let quiet = ["published", "dead_letters", "polls_failed", "breakers_open", "late", "overdue", "parked"].map(sum);
    assert_eq!(quiet, [0; 7]);
    assert!(
        summaries.iter().all(|summary| summary["worst_age"].as_u64().is_some_and(|age| age <= 120)),
        "{summaries:?}"
    );
    // One a minute, of one page each.
    assert!((9..=11).contains(&sum("polls_ok")) && sum("calls") >= sum("polls_ok"), "{summaries:?}");
    assert_eq!(sum("feeds"), 10);
    // A cursor stands a lateness behind, here ten minutes; nobody polls orders.
    assert_eq!(summaries[9]["oldest_touches"], NOW.minus(NOW.0 % 60).to_string());
    assert!(summaries[9]["oldest_orders"].is_null());
    for wrong in ["polls failed", "upstream is not asked", "polls are overdue"] {
        assert_eq!(captured.events(wrong), [Value::Null; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_can_not_be_reached_never_looks_like_a_quiet_day() {
    let captured = ten_minutes(None).await;
    let summaries = captured.events("summary");
    assert_eq!(summaries.len(), 10);
    for summary in &summaries {
        assert!(summary["polls_failed"] != 0 || summary["breakers_open"] != 0, "{summary}");
        assert_eq!(summary["polls_ok"], 0, "{summary}");
    }
    let told = [captured.events("polls failed"), captured.events("upstream is not asked")].concat();
    assert!(told.len() >= 10, "{told:?}");
    assert!(told.iter().all(|event| event["error"].as_str().unwrap().contains("no such host is known")), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_promoter_whose_polls_always_fail_is_named_with_how_long() {
    let captured = ten_minutes(Some(r#"{"errcode":0,"total_cnt":12}"#)).await;
    let overdue = captured.events("polls are overdue");
    assert!(overdue.len() >= 8, "{overdue:?}");
    let last = overdue.last().unwrap();
    assert_eq!((&last["promoter"], &last["feed"]), (&"wx1/o1".into(), &"touches".into()), "{last}");
    assert!(last["seconds"].as_u64().unwrap() > 500, "{last}");
    let summary = captured.events("summary").pop().unwrap();
    assert_eq!(summary["late"], 1, "{summary}");
    assert!(summary["worst_age"].as_u64().unwrap() > 500, "{summary}");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_the_rows_is_told_by_its_reason() {
    let captured = ten_minutes(Some(r#"{"errcode":0,"total_cnt":1,"relation_list":[{"openid":"o"}]}"#)).await;
    let letters = captured.events("dead letters");
    let kinds = letters.iter().map(|told| (&told["source"], &told["count"])).collect::<Vec<_>>();
    assert_eq!(kinds, [(&"touches".into(), &1.into())], "{letters:?}");
    assert!(letters[0]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{letters:?}");
    let each = captured.events("dead letter");
    assert_eq!((each.len(), &each[0]["promoter"]), (1, &"wx1/o1".into()), "{each:?}");
}

#[tokio::test(start_paused = true)]
async fn a_promoter_that_is_parked_is_named_once_whatever_is_polled_for_it() {
    let captured = ten_minutes_of(PerFeed::new(|_| Some(plan(StartFrom::Now))), Some(r#"{"errcode":103014}"#)).await;
    let parked = captured.events("promoter is parked");
    assert_eq!(parked.len(), 1, "{parked:?}");
    assert!(parked[0]["promoter"].as_str().unwrap().ends_with("o1"), "{parked:?}");
    assert!(parked[0]["error"].as_str().unwrap().contains("103014"), "{parked:?}");
}

#[tokio::test(start_paused = true)]
async fn of_many_promoters_that_are_parked_at_once_the_first_are_named_and_all_are_counted() {
    let captured = ten_minutes_of_all(8, touches_only(plan(StartFrom::Now)), Some(r#"{"errcode":103014}"#)).await;
    let named: Vec<Value> =
        captured.events("promoter is parked").iter().map(|event| event["promoter"].clone()).collect();
    assert_eq!(named.len(), 5, "{named:?}");
    let together = captured.events("promoters parked");
    assert_eq!(together.len(), 1, "they stay parked, and are told once: {together:?}");
    assert_eq!((&together[0]["level"], &together[0]["count"]), (&"WARN".into(), &8.into()));
    assert_eq!((&together[0]["app"], &together[0]["pipeline"]), (&"wx1".into(), &"polls".into()));
    let first: Vec<&str> = together[0]["first"].as_str().unwrap().split(", ").collect();
    assert_eq!(first, named);
}
