//! The raw bytes of a dead row, with the user's id in them as it is shown.
//!
//! What is not known to be harmless is left out. A row of the upstream is one flat object, so its known fields are kept but for
//! the user's id; any other field may hold anything, an id among it. Bytes that are no such object are withheld altogether: in
//! them nobody can tell where an id stands.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::PseudonymKey;
use crate::model::dead_letter::{DeadLetter, RAW_BYTES_MAX};

/// The field of the user's id.
const USER_ID: &str = "openid";
/// The other fields of the official page: whom the row is about for the merchant, which way the user came, and the payment.
const KEPT: [&str; 15] = [
    "promoter_openid",
    "role_id",
    "retail_id",
    "extra_info",
    "create_time",
    "path",
    "scene",
    "share_extra_info",
    "mch_id",
    "trade_no",
    "out_trade_no",
    "status",
    "paid_amount",
    "paid_time",
    "refunded_time",
];

/// Whether a field of a row is shown at all, be it by a pseudonym.
#[cfg(test)]
pub(crate) fn is_shown(name: &str) -> bool {
    name == USER_ID || KEPT.contains(&name)
}

/// The letter of a row as it may be shown, and what was done to it.
pub(super) fn shown(letter: &DeadLetter, key: &PseudonymKey) -> DeadLetter {
    let (raw, what) = match read(&letter.raw, key) {
        Some(ShownRow { text, left_out: 0 }) => (text.into_bytes(), "in raw any user's id is a pseudonym".to_owned()),
        Some(ShownRow { text, left_out }) => {
            let what = format!("in raw any user's id is a pseudonym, and unknown fields are left out: {left_out}");
            (text.into_bytes(), what)
        }
        None => {
            let what = "raw is withheld, since users' ids in it can't be told: it is no flat JSON object";
            (Vec::new(), format!("{what}, of {} bytes", letter.raw.len()))
        }
    };
    let detail = format!("{}; {what}", letter.detail);
    DeadLetter { raw: raw.into(), detail, ..letter.clone() }.cut_to(RAW_BYTES_MAX)
}

/// A row written anew.
#[derive(Debug, PartialEq, Eq)]
struct ShownRow {
    text: String,
    /// Fields.
    left_out: usize,
}

fn read(raw: &[u8], key: &PseudonymKey) -> Option<ShownRow> {
    let text = std::str::from_utf8(raw).ok()?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let row = deserializer.deserialize_map(ShownRowVisitor(key)).ok()?;
    deserializer.end().ok()?;
    Some(row)
}

struct ShownRowVisitor<'k>(&'k PseudonymKey);

impl<'de> Visitor<'de> for ShownRowVisitor<'_> {
    type Value = ShownRow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ShownRow, A::Error> {
        let (mut fields, mut left_out) = (Vec::new(), 0);
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            match self.field(&name, value.get()) {
                Some(field) => fields.push(field),
                None => left_out += 1,
            }
        }
        Ok(ShownRow { text: format!("{{{}}}", fields.join(",")), left_out })
    }
}

impl ShownRowVisitor<'_> {
    /// The field as it is written, with its name; nothing where it is left out.
    fn field(&self, name: &str, value: &str) -> Option<String> {
        // Whatever the field is, an id may stand anywhere inside.
        if value.starts_with(['{', '[']) {
            return None;
        }
        match name {
            USER_ID => Some(format!(r#""{name}":{}"#, self.user_id(value)?)),
            _ => KEPT.contains(&name).then(|| format!(r#""{name}":{value}"#)),
        }
    }

    /// As text a number is what its event shows, were there one.
    fn user_id(&self, value: &str) -> Option<String> {
        let id = match value {
            "null" | "true" | "false" | r#""""# => return Some(value.to_owned()),
            text if text.starts_with('"') => serde_json::from_str(text).ok()?,
            number => number.to_owned(),
        };
        let digits = self.0.pseudonym(&id);
        Some(format!(r#""{}""#, std::str::from_utf8(&digits).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::feed::Feed;
    use crate::model::promoter::Promoter;
    use crate::model::time::UnixMillis;
    use crate::user_ids::UserIds;

    fn key() -> PseudonymKey {
        PseudonymKey::new(&"0123456789abcdef".into()).unwrap()
    }

    fn pseudonym(id: &str) -> String {
        UserIds::Pseudonyms(key()).shown(id).as_str().to_owned()
    }

    fn letter(raw: &[u8]) -> DeadLetter {
        let promoter = Promoter::from_key("wx1/o1").unwrap();
        DeadLetter::of_row(
            Feed::Orders,
            promoter,
            "missing_mch_id",
            "mch_id is missing".into(),
            raw.into(),
            UnixMillis(0),
        )
    }

    fn shown_raw(raw: &str) -> (String, String) {
        let letter = shown(&letter(raw.as_bytes()), &key());
        (String::from_utf8(letter.raw.into()).unwrap(), letter.detail)
    }

    #[test]
    fn the_users_id_is_a_pseudonym_wherever_it_stands_and_the_rest_stays() {
        let user = pseudonym("oUSER");
        let raw =
            r#"{ "openid":"oUSER", "promoter_openid": "oP","\u006fpenid":"oUS\u0045R" ,"paid_time":1,"paid_time":2}"#;
        let expected =
            format!(r#"{{"openid":"{user}","promoter_openid":"oP","openid":"{user}","paid_time":1,"paid_time":2}}"#);
        let detail = "mch_id is missing; in raw any user's id is a pseudonym".to_owned();
        assert_eq!(shown_raw(raw), (expected, detail));
        let number = format!(r#"{{"openid":"{}"}}"#, pseudonym("123"));
        assert_eq!(shown_raw(r#"{"openid":123}"#).0, number);
        assert_eq!(shown_raw(r#"{"openid":null,"path":""}"#).0, r#"{"openid":null,"path":""}"#);
    }

    #[test]
    fn fields_that_are_not_known_and_what_is_nested_is_left_out_and_counted() {
        let raw = r#"{"unionid":"oUSER","oUSER":1,"extra_info":{"openid":"oUSER"},"openid":["oUSER"],"scene":1}"#;
        let (raw, detail) = shown_raw(raw);
        assert_eq!(raw, r#"{"scene":1}"#);
        assert!(detail.ends_with("and unknown fields are left out: 4"), "{detail}");
    }

    #[test]
    fn bytes_that_are_no_object_are_withheld() {
        let deep = "[".repeat(200_000);
        for raw in [
            "",
            "oUSER",
            r#"["oUSER"]"#,
            r#"{"openid":"oUSER""#,
            "{\"openid\":\"oUS\nER\"}",
            r#"{"openid":"\ud800"#,
            &deep,
        ] {
            let (shown, detail) = shown_raw(raw);
            assert_eq!(shown, "");
            assert!(
                detail.contains(&format!(
                    "raw is withheld, since users' ids in it can't be told: it is no flat JSON object, of {} bytes",
                    raw.len()
                )),
                "{detail}"
            );
        }
        let broken = shown(&letter(b"{\"openid\":\"oUSER\xff\"}"), &key());
        assert!(broken.raw.is_empty());
        let long = format!(r#"{{"openid":"oUSER","path":"{}"}}"#, "x".repeat(RAW_BYTES_MAX));
        assert_eq!(shown_raw(&long).0, "", "it was cut before");
    }

    #[test]
    fn only_rows_are_changed_and_only_where_users_ids_are_pseudonyms() {
        let row = letter(br#"{"openid":"oUSER"}"#);
        assert_eq!(UserIds::Plain.shown_in(&row), row);
        let request = DeadLetter { source: crate::model::dead_letter::DeadLetterSource::Requests, ..row.clone() };
        assert_eq!(UserIds::Pseudonyms(key()).shown_in(&request), request);
        assert_ne!(UserIds::Pseudonyms(key()).shown_in(&row), row);
    }

    #[test]
    fn every_field_of_the_official_samples_is_kept_but_for_the_users_id() {
        let samples = [
            include_str!("../../tests/samples/getorder-answer.json"),
            include_str!("../../tests/samples/getrelation-answer.json"),
        ];
        for (sample, list) in samples.into_iter().zip(["order_list", "relation_list"]) {
            let sample: serde_json::Value = serde_json::from_str(sample).unwrap();
            let row = &sample[list][0];
            let ShownRow { text, left_out } = read(row.to_string().as_bytes(), &key()).unwrap();
            let kept: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(left_out, 0, "{row}");
            for (name, value) in row.as_object().unwrap() {
                assert_eq!(kept[name] == *value, name != USER_ID, "{name}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_that_names_the_user_leaves_his_id(
            before in "[{}\\[\\]\",:\\\\ a-z\n]{0,12}", after in "[{}\\[\\]\",:\\\\ a-z\n]{0,12}", name in "(openid|unionid|openid2|[a-z]{0,6})",
        ) {
            proptest::prop_assume!(!KEPT.contains(&name.as_str()));
            for raw in [format!(r#"{before}"{name}":"oUSER"{after}"#), format!(r#"{{"{name}":"oUSER"{after}}}"#)] {
                let (shown, _) = shown_raw(&raw);
                proptest::prop_assert!(!shown.contains("oUSER"), "{} of {}", shown, raw);
            }
        }
    }
}
