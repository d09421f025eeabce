//! Material: what one call asks, and what its answer holds.

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Serialize, de::Error as _};
use serde_json::value::RawValue;

use super::loose_value::LooseValue;
use super::raw_page::PageFault;
use super::repair::{bare, read_loosely};
use super::wire::Envelope;
use crate::model::feed::Interface;
use crate::model::promoter::Promoter;

/// A request whose limits have been checked. What is absent is left to the upstream's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareMaterialRequest {
    pub promoter: Promoter,
    pub path: String,
    pub extra_info: Option<String>,
    pub title: Option<String>,
    pub share_type: Option<u32>,
    /// Of the two that are not the default; the official page names no word for the official version.
    pub env_version: Option<EnvVersion>,
}

/// Of which version of the Mini Program the material is; without one it is the released one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvVersion {
    Develop,
    Trial,
}

impl ShareMaterialRequest {
    /// What it is sent to, by whose breakers and budget.
    pub const INTERFACE: Interface = Interface::GetShareMaterial;

    pub(super) fn body(&self) -> Bytes {
        let body = ShareMaterialBody {
            path: &self.path,
            openid: self.promoter.promoter_id(),
            extra_info: self.extra_info.as_deref(),
            title: self.title.as_deref(),
            share_type: self.share_type,
            env_version: self.env_version.map(|version| match version {
                EnvVersion::Develop => "develop",
                EnvVersion::Trial => "trial",
            }),
        };
        serde_json::to_vec(&body).expect("a flat struct of texts and numbers is always JSON").into()
    }
}

/// Field names and types as on the official page.
#[derive(Serialize)]
struct ShareMaterialBody<'a> {
    path: &'a str,
    openid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_info: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    share_type: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env_version: Option<&'static str>,
}

/// As the upstream gave it; empty text is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareMaterial {
    pub share_path: Option<String>,
    /// An image in base64, not yet decoded.
    pub qrcode: Option<String>,
    pub tag: Option<String>,
}

/// Reads an answer. With an errcode other than 0 the material is empty: nothing else of the answer counts. One that has
/// none of the fields is no answer, while a success with nothing in it is one.
///
/// # Errors
/// [`PageFault::NotAnAnswer`].
pub fn read_material(body: &[u8]) -> Result<(Envelope, ShareMaterial), PageFault> {
    let unreadable = |error: serde_json::Error| PageFault::NotAnAnswer(error.to_string());
    let answer: ShareMaterialResponse =
        read_loosely(bare(body), |text| serde_json::from_str(text)).map_err(unreadable)?;
    Ok((answer.envelope, answer.material))
}

#[derive(Default)]
struct ShareMaterialResponse {
    envelope: Envelope,
    material: ShareMaterial,
}

impl<'de> Deserialize<'de> for ShareMaterialResponse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ShareMaterialResponse, D::Error> {
        deserializer.deserialize_map(ShareMaterialVisitor)
    }
}

struct ShareMaterialVisitor;

impl<'de> Visitor<'de> for ShareMaterialVisitor {
    type Value = ShareMaterialResponse;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ShareMaterialResponse, A::Error> {
        let mut answer = ShareMaterialResponse::default();
        let mut errcode = LooseValue::Absent;
        while let Some(name) = map.next_key::<String>()? {
            let text = match name.as_str() {
                "errcode" => {
                    errcode = LooseValue::read(map.next_value::<&RawValue>()?).map_err(A::Error::custom)?;
                    continue;
                }
                "errmsg" => {
                    let value = LooseValue::read(map.next_value::<&RawValue>()?).map_err(A::Error::custom)?;
                    answer.envelope.errmsg = value.text().ok().flatten().unwrap_or_default();
                    continue;
                }
                "share_path" => &mut answer.material.share_path,
                "qrcode" => &mut answer.material.qrcode,
                "tag" => &mut answer.material.tag,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let value = LooseValue::read(map.next_value::<&RawValue>()?).map_err(A::Error::custom)?;
            *text = value.text().map_err(|_| A::Error::custom(format!("{name} is no text")))?;
        }
        if errcode.is_absent() && answer.material == ShareMaterial::default() {
            return Err(A::Error::custom("the answer has no field of one"));
        }
        answer.envelope.errcode = errcode.integer().map_err(|_| A::Error::custom("errcode is no number"))?.unwrap_or(0);
        if answer.envelope.errcode != 0 {
            answer.material = ShareMaterial::default();
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLE: &[u8] = include_bytes!("../../tests/samples/getsharematerial-answer.json");

    fn rows_request() -> ShareMaterialRequest {
        ShareMaterialRequest {
            promoter: Promoter::from_key("wx1/oP").unwrap(),
            path: "pages/a".into(),
            extra_info: None,
            title: None,
            share_type: None,
            env_version: None,
        }
    }

    #[test]
    fn only_what_was_asked_for_is_sent() {
        assert_eq!(rows_request().body(), r#"{"path":"pages/a","openid":"oP"}"#);
        let all = ShareMaterialRequest {
            extra_info: Some("e".into()),
            title: Some("t".into()),
            share_type: Some(0),
            env_version: Some(EnvVersion::Trial),
            ..rows_request()
        };
        let ours: serde_json::Value = serde_json::from_slice(&all.body()).unwrap();
        let sample = include_str!("../../tests/samples/getsharematerial-request.json");
        let sample: serde_json::Value = serde_json::from_str(sample).unwrap();
        assert_eq!(ours.as_object().unwrap().len(), sample.as_object().unwrap().len());
        for (name, value) in ours.as_object().unwrap() {
            assert_eq!(sample[name].is_string(), value.is_string(), "{name}");
        }
        assert_eq!((&ours["share_type"], &ours["env_version"]), (&sample["share_type"], &sample["env_version"]));
    }

    #[test]
    fn the_sample_of_the_official_page_is_read() {
        let (envelope, material) = read_material(SAMPLE).unwrap();
        assert_eq!(envelope.errcode, 0);
        let text = || Some("xxxxx".to_owned());
        assert_eq!(material, ShareMaterial { share_path: text(), qrcode: text(), tag: text() });
    }

    #[test]
    fn a_success_with_nothing_in_it_is_an_answer() {
        let (envelope, material) = read_material(b"{\"errcode\":0,\"tag\":\"\"}\0").unwrap();
        assert_eq!((envelope.errcode, material), (0, ShareMaterial::default()));
    }

    #[test]
    fn a_refusal_gives_nothing_but_its_code_and_words() {
        let (envelope, material) = read_material(br#"{"errcode":"103006","errmsg":"no rid: 1","tag":"x"}"#).unwrap();
        assert_eq!((envelope.errcode, envelope.errmsg.as_str()), (103_006, "no rid: 1"));
        assert_eq!(material, ShareMaterial::default());
    }

    #[test]
    fn raw_control_characters_and_empty_texts_are_taken_as_elsewhere() {
        let (_, material) = read_material(b"\xEF\xBB\xBF{\"tag\":\"a\nb\",\"share_path\":\"\",\"new\":[1]}").unwrap();
        assert_eq!(material, ShareMaterial { tag: Some("a\nb".into()), ..ShareMaterial::default() });
        for body in [
            "",
            "<html>",
            "[]",
            r#"{"qrcode":[1]}"#,
            r#"{"errcode":"x"}"#,
            r#"{"tag":"x"#,
            "{}",
            r#"{"code":1}"#,
            r#"{"errcode":null}"#,
            r#"{"tag":""}"#,
        ] {
            assert!(read_material(body.as_bytes()).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_material_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..60), at: prop::sample::Index) {
            let _ = read_material(&bytes);
            let mut sample = SAMPLE.to_vec();
            let at = at.index(sample.len());
            sample.splice(at..at, bytes);
            let _ = read_material(&sample);
        }
    }
}
