//! `getsharematerial`: what a promoter shares.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::seed::Seed;

const EXTRA_INFO_BYTES_MAX: usize = 80;
const TITLE_BYTES_MAX: usize = 20;

/// A picture of one white pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\
\0\0\0\x0bIDATx\xdac\xf8\x0f\x04\0\x09\xfb\x03\xfd\x68\xfa\x1c\xcc\0\0\0\0IEND\xaeB`\x82";

/// The material, or the errcode that refuses the request. Which code stands for which refusal is not documented.
pub fn material(body: &Map<String, Value>, promoter: Seed) -> Result<Value, i64> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let path = text("path").ok_or(103_005)?;
    if text("extra_info").is_some_and(|info| info.len() > EXTRA_INFO_BYTES_MAX) {
        return Err(103_001);
    }
    if text("title").is_some_and(|title| title.len() > TITLE_BYTES_MAX) {
        return Err(103_002);
    }
    if !matches!(text("env_version"), None | Some("develop" | "trial")) {
        return Err(103_004);
    }
    let share_type = body.get("share_type").map_or(Some(0), Value::as_u64).filter(|kind| *kind <= 3).ok_or(103_005)?;
    let mark = promoter.text("material").text(path).text(text("extra_info").unwrap_or_default()).bits();
    let joint = if path.contains('?') { '&' } else { '?' };
    let mut material = json!({"errcode": 0, "errmsg": "OK"});
    if matches!(share_type, 0 | 2) {
        material["share_path"] = format!("{path}{joint}promoter_mark={mark:016x}").into();
    }
    if matches!(share_type, 0 | 3) {
        material["qrcode"] = STANDARD.encode(PNG).into();
    }
    if matches!(share_type, 0 | 1) {
        material["tag"] = format!("#小程序://推广/{mark:x}").into();
    }
    Ok(material)
}
