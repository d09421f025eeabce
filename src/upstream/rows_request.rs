//! What one call asks, and the JSON body that asks it.

use bytes::Bytes;
use serde::Serialize;

use crate::model::feed::{Feed, Interface};
use crate::model::promoter::{IdKind, Promoter};
use crate::model::row::RowKind;
use crate::model::time::{Day, UnixTime};

/// The upstream's code for "refund accepted" (official page: `status`).
const STATUS_REFUND_ACCEPTED: u32 = 2;

/// One page of one promoter's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsRequest {
    pub promoter: Promoter,
    pub query: RowsQuery,
    /// As the page before gave it; absent for the first page.
    pub start_id: Option<String>,
}

/// Which of a promoter's rows are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsQuery {
    /// What happened in a window of whole seconds, of a feed that is pulled so. Whether the bounds are inclusive is not
    /// documented.
    Window { feed: Feed, begin: UnixTime, end: UnixTime },
    /// Orders by payment date, or all of them.
    Orders { date: Option<Day> },
    /// Every order of the promoter with an accepted refund, whatever its date.
    Refunds,
}

impl RowsRequest {
    pub fn feed(&self) -> Feed {
        match self.query {
            RowsQuery::Window { feed, .. } => feed,
            RowsQuery::Orders { .. } => Feed::Orders,
            RowsQuery::Refunds => Feed::Refunds,
        }
    }

    pub fn interface(&self) -> Interface {
        self.feed().interface()
    }

    pub(super) fn row_kind(&self) -> RowKind {
        self.feed().rows()
    }

    pub(super) fn body(&self, id_kind: IdKind) -> Bytes {
        let mut body = RowsRequestBody {
            openid: self.promoter.promoter_id(),
            begin_time: None,
            end_time: None,
            status: None,
            date: None,
            start_id: self.start_id.as_deref(),
            need_unionid: (id_kind == IdKind::UnionId).then_some(1),
        };
        match self.query {
            RowsQuery::Window { begin, end, .. } => (body.begin_time, body.end_time) = (Some(begin.0), Some(end.0)),
            RowsQuery::Orders { date } => body.date = date.map(Day::as_yyyymmdd),
            RowsQuery::Refunds => body.status = Some(STATUS_REFUND_ACCEPTED),
        }
        serde_json::to_vec(&body).expect("a flat struct of texts and numbers is always JSON").into()
    }
}

/// What was asked for, as far as the reading of the answer depends on it.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedPage<'a> {
    pub kind: RowKind,
    pub promoter_id: &'a str,
    /// A later page may well be empty; the first one is only where there is nothing.
    pub is_first: bool,
}

/// Field names and types as on the official page. What is not asked is left out.
#[derive(Serialize)]
struct RowsRequestBody<'a> {
    openid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    begin_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<u32>,
    /// Always text, as documented, also where the upstream itself gave a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    start_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    need_unionid: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::promoter::AppId;

    fn body_of(query: RowsQuery, start_id: Option<&str>, id_kind: IdKind) -> String {
        let promoter = Promoter::new(&AppId::new("wx1").unwrap(), "oP").unwrap();
        let request = RowsRequest { promoter, query, start_id: start_id.map(str::to_owned) };
        String::from_utf8(request.body(id_kind).to_vec()).unwrap()
    }

    #[test]
    fn touches_are_asked_by_window() {
        let touches =
            RowsQuery::Window { feed: Feed::Touches, begin: UnixTime(1_668_614_400), end: UnixTime(1_668_666_429) };
        assert_eq!(
            body_of(touches, None, IdKind::OpenId),
            r#"{"openid":"oP","begin_time":1668614400,"end_time":1668666429}"#
        );
    }

    #[test]
    fn orders_are_asked_by_a_date_that_is_a_number() {
        let date = Some(Day::in_beijing(UnixTime(1_668_614_400)));
        assert_eq!(body_of(RowsQuery::Orders { date }, None, IdKind::OpenId), r#"{"openid":"oP","date":20221117}"#);
        assert_eq!(body_of(RowsQuery::Orders { date: None }, None, IdKind::OpenId), r#"{"openid":"oP"}"#);
    }

    #[test]
    fn refunds_are_asked_by_status_and_no_date() {
        assert_eq!(body_of(RowsQuery::Refunds, None, IdKind::OpenId), r#"{"openid":"oP","status":2}"#);
    }

    #[test]
    fn a_start_id_is_text_and_unionids_are_asked_for_only_where_wanted() {
        assert_eq!(
            body_of(RowsQuery::Refunds, Some("123"), IdKind::UnionId),
            r#"{"openid":"oP","status":2,"start_id":"123","need_unionid":1}"#
        );
    }

    #[test]
    fn every_name_asked_stands_on_the_official_page() {
        let ours = body_of(
            RowsQuery::Window { feed: Feed::Touches, begin: UnixTime(1), end: UnixTime(2) },
            Some("1"),
            IdKind::UnionId,
        );
        let sample = include_str!("../../tests/samples/getrelation-request.json");
        let ours: serde_json::Value = serde_json::from_str(&ours).unwrap();
        let sample: serde_json::Value = serde_json::from_str(sample).unwrap();
        for (name, value) in ours.as_object().unwrap() {
            assert_eq!(sample[name].is_string(), value.is_string(), "{name}");
        }
    }
}
