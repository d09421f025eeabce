//! Material goes the same way as a page.

use super::*;

fn material_request() -> ShareMaterialRequest {
    let promoter = rows_request(RowsQuery::Refunds).promoter;
    let path = "pages/a".to_owned();
    ShareMaterialRequest { promoter, path, extra_info: None, title: None, share_type: None, env_version: None }
}

fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

async fn material_with(settings: ClientSettings, upstream: &Upstream) -> Result<ShareMaterial, CallError> {
    Client::new(settings, upstream.clone()).material(&material_request(), far_away(), &CancellationToken::new()).await
}

#[tokio::test(start_paused = true)]
async fn material_goes_the_way_of_a_page_with_its_retries_and_its_token() {
    let upstream = Upstream::new([code(-1), ok(REJECTED), ok(r##"{"errcode":0,"tag":"#short"}"##)], []);
    let material = material_with(settings(), &upstream).await.unwrap();
    assert_eq!(material, ShareMaterial { tag: Some("#short".into()), ..ShareMaterial::default() });
    assert_eq!(upstream.tokens_sent(), ["token-1", "token-1", "token-2"]);
    let calls = upstream.data_calls(|sent| (sent.path, sent.body.clone()));
    assert_eq!(calls[2], ("/promoter/getsharematerial", r#"{"path":"pages/a","openid":"oP"}"#.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_promoter_without_authorisation_is_permanent_where_material_is_asked_for() {
    let error = material_with(settings(), &Upstream::new([ok(NO_DATA)], [])).await.unwrap_err();
    assert!(matches!(error, CallError::ParkPromoter(Cause { errcode: Some(103_006), .. })), "{error}");
}

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_after_the_patience_is_over() {
    let upstream = Upstream::new(std::iter::repeat_with(|| code(-1)).take(200), []);
    let attempts_max = RetrySettings { attempts: 1000, ..settings().retry };
    let client = Client::new(ClientSettings { retry: attempts_max, ..settings() }, upstream.clone());
    let (began, patience) = (Instant::now(), Duration::from_secs(60));
    let error = client.material(&material_request(), began + patience, &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, CallError::Exhausted { cause: Cause { errcode: Some(-1), .. }, .. }), "{error}");
    assert!(began.elapsed() <= patience && began.elapsed() + settings().retry.max >= patience, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn material_has_a_budget_of_its_own() {
    let one_a_minute = BudgetSettings { per_minute: 1, per_day: 0 };
    let upstream = Upstream::new([ok(r#"{"errcode":0}"#), ok(TOUCH), ok(r#"{"errcode":0}"#)], []);
    let budgets = [(Interface::GetShareMaterial, one_a_minute)].into();
    let client = Client::new(ClientSettings { budgets, ..settings() }, upstream.clone());
    let (cancel, began) = (CancellationToken::new(), Instant::now());
    client.material(&material_request(), far_away(), &cancel).await.unwrap();
    client.page(&touches(), &cancel).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
    client.material(&material_request(), far_away(), &cancel).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(60), "{:?}", began.elapsed());
}
