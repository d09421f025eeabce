//! The list of an app's promoters, as the upstream gives it page by page: what one call asks, and what its answer holds.
//!
//! An answer has no `start_id`: the last row's `id` is passed back. The names and the telephone numbers that it holds are
//! read by nobody here.

use bytes::Bytes;
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::loose_value::LooseValue;
use super::raw_page::{PageFault, START_ID_BYTES_MAX};
use super::repair::read_loosely;
use super::split::split;
use super::wire::Envelope;
use crate::model::promoter::IdKind;

/// The name of the list in an answer.
const LIST: &str = "promoter_list";
/// Both of `auth_status` and of `decl_status`: it is given.
const GIVEN: i64 = 1;

/// Field names and types as on the official page. Neither status is asked for: whoever has lost one of them is to be seen.
#[derive(Serialize)]
struct PromoterListBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    start_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    need_unionid: Option<u32>,
}

/// The body that asks for the page behind the row with the id `start_id`, or for the first one.
pub(super) fn body(start_id: Option<&str>, id_kind: IdKind) -> Bytes {
    let body = PromoterListBody { start_id, need_unionid: (id_kind == IdKind::UnionId).then_some(1) };
    serde_json::to_vec(&body).expect("a flat struct of texts and numbers is always JSON").into()
}

/// One promoter of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedPromoter {
    pub promoter_id: String,
    /// Whether it is declared and authorised; nothing where the row does not tell one of them.
    pub is_authorised: Option<bool>,
    pub role_id: Option<String>,
    pub retail_id: Option<String>,
    pub extra_info: Option<String>,
}

/// One page of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PromoterPage {
    pub listed: Vec<ListedPromoter>,
    /// Rows that name nobody.
    pub unreadable: usize,
    /// Of the last row that has one.
    pub last_id: Option<String>,
    /// `total_cnt`; 0 where it is not told. Of the rows of this page or of all pages: the official page does not say.
    pub counted: usize,
}

impl PromoterPage {
    pub fn rows(&self) -> usize {
        self.listed.len() + self.unreadable
    }
}

/// Reads an answer. With an errcode other than 0 the page is empty: nothing else of the answer counts. A row that can't be read
/// is only counted.
///
/// # Errors
/// [`PageFault`] where the answer as a whole can't be taken apart, or a first page counts promoters and has none.
pub(super) fn read_promoter_page(body: &[u8], is_first: bool) -> Result<(Envelope, PromoterPage), PageFault> {
    let (header, rows) = split(body, LIST)?;
    if let Some(total_cnt) = header.total_cnt.filter(|total_cnt| is_first && rows.is_empty() && *total_cnt > 0) {
        // An answer that has lost its rows must not pass for an empty list, by which promoters would seem to be gone.
        return Err(PageFault::RowsMissing(total_cnt));
    }
    let counted = header.total_cnt.and_then(|total_cnt| usize::try_from(total_cnt).ok()).unwrap_or_default();
    let mut page = PromoterPage { counted, ..PromoterPage::default() };
    for raw in rows {
        let row = read_loosely(raw, |text| serde_json::from_str::<ApiPromoter>(text)).unwrap_or_default();
        if let Some(id) = row.id {
            if id.len() > START_ID_BYTES_MAX {
                return Err(PageFault::StartId);
            }
            page.last_id = Some(id);
        }
        match row.listed {
            Some(listed) => page.listed.push(listed),
            None => page.unreadable += 1,
        }
    }
    Ok((Envelope { errcode: header.errcode, errmsg: header.errmsg }, page))
}

#[derive(Default)]
struct ApiPromoter {
    id: Option<String>,
    /// Nothing where it names nobody.
    listed: Option<ListedPromoter>,
}

impl<'de> Deserialize<'de> for ApiPromoter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ApiPromoter, D::Error> {
        deserializer.deserialize_map(PromoterRowVisitor)
    }
}

struct PromoterRowVisitor;

impl<'de> Visitor<'de> for PromoterRowVisitor {
    type Value = ApiPromoter;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ApiPromoter, A::Error> {
        let (mut id, mut promoter_id) = (LooseValue::Absent, LooseValue::Absent);
        let (mut auth_status, mut decl_status) = (LooseValue::Absent, LooseValue::Absent);
        let mut listed = ListedPromoter::default();
        while let Some(name) = map.next_key::<String>()? {
            // A text whose escapes name no character says nothing.
            let value = LooseValue::read(map.next_value::<&RawValue>()?).unwrap_or_default();
            match name.as_str() {
                "id" => id = value,
                "openid" => promoter_id = value,
                "auth_status" => auth_status = value,
                "decl_status" => decl_status = value,
                "role_id" => listed.role_id = text(&value),
                "retail_id" => listed.retail_id = text(&value),
                "extra_info" => listed.extra_info = text(&value),
                _ => {}
            }
        }
        listed.is_authorised = is_authorised(&auth_status, &decl_status);
        let listed = text(&promoter_id).map(|promoter_id| ListedPromoter { promoter_id, ..listed });
        Ok(ApiPromoter { id: text(&id), listed })
    }
}

fn text(value: &LooseValue<'_>) -> Option<String> {
    value.text().ok().flatten()
}

fn is_authorised(auth_status: &LooseValue<'_>, decl_status: &LooseValue<'_>) -> Option<bool> {
    let statuses = [auth_status, decl_status].map(|status| status.integer().ok().flatten());
    match statuses {
        [Some(GIVEN), Some(GIVEN)] => Some(true),
        [Some(GIVEN) | None, Some(GIVEN) | None] => None,
        _ => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the official page prints it.
    const SAMPLE: &str = r#"{"promoter_list":[{"openid":"xxxxx","role_id":1,"retail_id":"xxxxx","extra_info":"xxxxx",
        "auth_status":1,"decl_status":1,"update_time":1668667349,"id":"100","name":"xxxxx","phone":"xxxxx"},
        {"openid":"yyyyy","role_id":1,"retail_id":"","extra_info":null,"auth_status":1,"decl_status":1,
        "update_time":1668667349,"id":"123","name":"xxxxx","phone":"xxxxx"}],"total_cnt":2,"errcode":0,"errmsg":"OK"}"#;

    fn page(body: &str) -> PromoterPage {
        read_promoter_page(body.as_bytes(), true).unwrap().1
    }

    #[test]
    fn the_sample_of_the_official_page_is_read() {
        let PromoterPage { listed, unreadable, last_id, counted } = page(SAMPLE);
        let text = || Some("xxxxx".to_owned());
        let first = ListedPromoter {
            promoter_id: "xxxxx".into(),
            is_authorised: Some(true),
            role_id: Some("1".into()),
            retail_id: text(),
            extra_info: text(),
        };
        assert_eq!((listed.len(), unreadable, last_id.as_deref(), counted), (2, 0, Some("123"), 2));
        assert_eq!(listed[0], first);
        assert_eq!((&listed[1].retail_id, &listed[1].extra_info), (&None, &None));
    }

    #[test]
    fn both_statuses_have_to_be_given_and_what_is_not_told_is_nothing() {
        let of =
            |row: &str| page(&format!(r#"{{"promoter_list":[{{"openid":"o",{row}"id":1}}]}}"#)).listed[0].is_authorised;
        assert_eq!(of(r#""auth_status":"1","decl_status":"1","#), Some(true));
        for row in [r#""auth_status":2,"decl_status":1,"#, r#""auth_status":0,"#, r#""decl_status":2,"auth_status":1,"#]
        {
            assert_eq!(of(row), Some(false), "{row}");
        }
        for row in ["", r#""auth_status":1,"#, r#""auth_status":[1],"decl_status":1,"#] {
            assert_eq!(of(row), None, "{row}");
        }
    }

    #[test]
    fn rows_that_name_nobody_are_counted_and_an_id_may_be_a_number() {
        let body = r#"{"promoter_list":[{"openid":"o1","id":7},{"openid":"","id":8},5,{"openid":"o2"}]}"#;
        let PromoterPage { listed, unreadable, last_id, .. } = page(body);
        assert_eq!((listed.len(), unreadable, last_id.as_deref()), (2, 2, Some("8")));
    }

    #[test]
    fn what_is_no_answer_is_a_fault_and_the_end_of_the_pages_is_none() {
        let (envelope, end) = read_promoter_page(br#"{"errcode":103006,"errmsg":"none"}"#, true).unwrap();
        assert_eq!((envelope.errcode, end.rows()), (103_006, 0));
        assert_eq!(page(r#"{"errcode":0,"promoter_list":[]}"#).rows(), 0);
        for body in [
            "",
            "{}",
            "<html>",
            r#"{"errcode":0,"total_cnt":3}"#,
            r#"{"errcode":0,"promoter_list":{}}"#,
            &SAMPLE[..SAMPLE.len() / 2],
        ] {
            assert!(read_promoter_page(body.as_bytes(), true).is_err(), "{body}");
        }
    }

    #[test]
    fn only_what_is_needed_is_asked() {
        assert_eq!(body(None, IdKind::OpenId), "{}");
        assert_eq!(body(Some("123"), IdKind::UnionId), r#"{"start_id":"123","need_unionid":1}"#);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_page_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..60), at: prop::sample::Index) {
            let _ = read_promoter_page(&bytes, true);
            let mut sample = SAMPLE.as_bytes().to_vec();
            let at = at.index(sample.len());
            sample.splice(at..at, bytes);
            let _ = read_promoter_page(&sample, false);
        }
    }
}
