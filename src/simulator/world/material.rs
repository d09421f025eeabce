//! `getsharematerial`: what a promoter gets to share.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::picture::{self, qr_code};
use crate::simulator::facts::shares::SharedMaterial;
use crate::simulator::seed::Seed;

/// Not documented; the path and the promoter's mark must fit into a QR code.
const PATH_BYTES_MAX: usize = 1024;
const _: () = assert!(PATH_BYTES_MAX + "&promoter_mark=0123456789abcdef".len() <= picture::TEXT_BYTES_MAX);
const EXTRA_INFO_BYTES_MAX: usize = 80;
const TITLE_BYTES_MAX: usize = 20;

/// The answer and what the promoter shares from now on, or the errcode that refuses the request. Which code stands for
/// which refusal is not documented.
///
/// # Errors
/// That errcode.
pub fn material(body: &Map<String, Value>, promoter: Seed) -> Result<(Value, SharedMaterial), i64> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let path = text("path").filter(|path| path.len() <= PATH_BYTES_MAX).ok_or(103_005)?;
    let extra_info = text("extra_info");
    if extra_info.is_some_and(|info| info.len() > EXTRA_INFO_BYTES_MAX) {
        return Err(103_001);
    }
    if text("title").is_some_and(|title| title.len() > TITLE_BYTES_MAX) {
        return Err(103_002);
    }
    if !matches!(text("env_version"), None | Some("develop" | "trial")) {
        return Err(103_004);
    }
    let share_type = body.get("share_type").map_or(Some(0), Value::as_u64).filter(|kind| *kind <= 3).ok_or(103_005)?;
    let mark = promoter.text("material").text(path).text(extra_info.unwrap_or_default()).bits();
    let joint = if path.contains('?') { '&' } else { '?' };
    let share_path = format!("{path}{joint}promoter_mark={mark:016x}");
    let mut material = json!({"errcode": 0, "errmsg": "OK"});
    if matches!(share_type, 0 | 2) {
        material["share_path"] = share_path.as_str().into();
    }
    if matches!(share_type, 0 | 3) {
        material["qrcode"] = STANDARD.encode(qr_code(&share_path)).into();
    }
    if matches!(share_type, 0 | 1) {
        material["tag"] = format!("#小程序://推广/{mark:x}").into();
    }
    Ok((material, SharedMaterial { path: path.to_owned(), extra_info: extra_info.map(str::to_owned) }))
}
