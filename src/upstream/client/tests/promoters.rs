//! The list of an app's promoters, over all its pages.

use super::*;

fn rows(ids: std::ops::Range<usize>) -> String {
    let row = |id: usize| format!(r#"{{"openid":"o{id}","auth_status":1,"decl_status":1,"id":"{id}"}}"#);
    let rows: Vec<String> = ids.map(row).collect();
    format!(r#"{{"promoter_list":[{}],"total_cnt":{},"errcode":0}}"#, rows.join(","), rows.len())
}

async fn list(steps: impl IntoIterator<Item = Step>) -> (Result<PromoterList, PromoterListError>, Vec<String>) {
    let upstream = Upstream::new(steps, []);
    let list = Client::new(settings(), upstream.clone()).promoter_list(&CancellationToken::new()).await;
    let asked = upstream.data_calls(|sent| {
        assert_eq!(sent.path, "/promoter/getpromoter");
        sent.body.clone()
    });
    (list, asked)
}

#[tokio::test(start_paused = true)]
async fn each_page_is_asked_for_behind_the_last_row_of_the_one_before_until_there_is_nothing() {
    let (list, asked) = list([ok(&rows(0..2000)), ok(&rows(2000..2003)), code(103_006)]).await;
    let list = list.unwrap();
    assert_eq!((list.listed.len(), list.unreadable), (2003, 0));
    assert_eq!(asked, ["{}", r#"{"start_id":"1999"}"#, r#"{"start_id":"2002"}"#]);
}

#[tokio::test(start_paused = true)]
async fn a_small_page_is_not_taken_for_the_last_one_and_one_that_repeats_is() {
    // The upstream gives the row that it is asked to go on behind once more.
    let (list, asked) = list([ok(&rows(0..3)), ok(&rows(2..5)), ok(&rows(4..5))]).await;
    assert_eq!((list.unwrap().listed.len(), asked.len()), (5, 3));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_ends_before_all_are_listed_is_known_to_be_cut() {
    let nobody = || ok(r#"{"errcode":0,"promoter_list":[],"total_cnt":1}"#);
    let counting = |total: usize| ok(&rows(0..3).replace(r#""total_cnt":3"#, &format!(r#""total_cnt":{total}"#)));
    let cases = [
        (vec![ok(&rows(0..3)), code(103_006)], false),
        (vec![ok(&rows(0..3)), nobody()], false),
        // It counts all pages.
        (vec![counting(5), ok(&rows(3..5)), code(103_006)], false),
        (vec![counting(4), code(103_006)], true),
        (vec![counting(4), counting(4)], true),
        (vec![ok(&rows(0..2000)), ok(&rows(0..2000))], true),
    ];
    for (case, (pages, is_cut)) in cases.into_iter().enumerate() {
        assert_eq!(list(pages).await.0.unwrap().is_cut, is_cut, "case {case}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_without_promoters_has_an_empty_list() {
    for nothing in [code(103_006), ok(r#"{"errcode":0,"promoter_list":[]}"#), ok(r#"{"errcode":0}"#)] {
        let (list, _) = list([nothing]).await;
        assert!(list.unwrap().listed.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_cut_on_its_way_is_no_list() {
    let cut = || {
        let whole = rows(0..2000);
        ok(&whole[..whole.len() - 100])
    };
    // A repetition may mend it.
    let (mended, _) = list([ok(&rows(0..2000)), cut(), ok(&rows(2000..2001)), code(103_006)]).await;
    assert_eq!(mended.unwrap().listed.len(), 2001);
    let (list, _) = list([ok(&rows(0..2000))].into_iter().chain(std::iter::repeat_with(cut).take(100))).await;
    assert!(matches!(list, Err(PromoterListError::Call(CallError::Exhausted { .. }))), "{list:?}");
    let wrong = || ok(r#"{"errcode":0,"promoter_list":{},"total_cnt":3}"#);
    let (list, _) = self::list(std::iter::repeat_with(wrong).take(100)).await;
    assert!(matches!(list, Err(PromoterListError::Call(CallError::Exhausted { .. }))), "{list:?}");
}

#[tokio::test(start_paused = true)]
async fn pages_that_can_not_be_gone_on_behind_or_do_not_end_are_no_list() {
    let without_ids = rows(0..2000).replace("\"id\"", "\"no_id\"");
    let (list, _) = list([ok(&without_ids)]).await;
    assert!(matches!(list, Err(PromoterListError::NoNextPage { rows: 2000 })), "{list:?}");
    let endless = (0..12).map(|page| ok(&rows(page * 2000..(page + 1) * 2000)));
    let (list, asked) = self::list(endless).await;
    assert!(matches!(list, Err(PromoterListError::Endless)), "{list:?}");
    assert!(asked.len() <= 11);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_list_is_the_apps_as_any_other_and_stops_no_poll() {
    let upstream = Upstream::new([code(45_009), ok(TOUCH)], []);
    let client = Client::new(settings(), upstream.clone());
    let cancel = CancellationToken::new();
    let error = client.promoter_list(&cancel).await.unwrap_err();
    assert!(matches!(error, PromoterListError::Call(CallError::BreakerOpen { by_response: true, .. })), "{error}");
    client.page(&touches(), &cancel).await.unwrap();
}
