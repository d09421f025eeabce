//! `getpromoter`: who is registered. Behind the promoters that have facts stand some who never authorised.

use serde_json::{Map, Value, json};

use crate::simulator::facts::details::Merchant;
use crate::simulator::facts::promoter::SimPromoter;
use crate::simulator::options::Ids;

/// Rows of a page at most (spec: up to 2000).
const PAGE_ROWS: usize = 2000;

/// Promoter `number` of an app, from 1.
pub fn promoter_id(ids: Ids, number: u32) -> String {
    let initial = if ids == Ids::Unionid { 'u' } else { 'o' };
    format!("{initial}Simulated{number:06}")
}

/// The index of a promoter with this id, whether or not there are so many.
pub fn promoter_index(ids: Ids, id: &str) -> Option<usize> {
    let number: u32 = id.get(1..)?.strip_prefix("Simulated")?.parse().ok()?;
    let index = number.checked_sub(1)?;
    (promoter_id(ids, number) == id).then_some(index as usize)
}

/// Promoters who were declared but never authorised: one for each ten.
fn unauthorised(promoters: usize) -> usize {
    promoters.div_ceil(10)
}

/// One page of the registered promoters, or nothing where no row fits.
pub fn page(
    promoters: &[SimPromoter],
    ids: Ids,
    body: &Map<String, Value>,
    merchant: impl Fn(&SimPromoter) -> Merchant,
) -> Option<Value> {
    let text = |name: &str| body.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let number = |name: &str| text(name).and_then(|text| text.parse::<i64>().ok());
    let after = number("start_id").and_then(|id| usize::try_from(id).ok()).unwrap_or(0);
    let wanted_auth = number("auth_status");
    let wanted_id = text("openid");
    let rows = (after..promoters.len() + unauthorised(promoters.len())).filter_map(|index| {
        let promoter = promoters.get(index);
        let auth_status = if promoter.is_some() { 1 } else { 2 };
        let id = promoter_id(ids, u32::try_from(index + 1).ok()?);
        let fits = wanted_auth.is_none_or(|wanted| wanted == auth_status)
            && wanted_id.as_ref().is_none_or(|wanted| *wanted == id);
        let words = promoter.map(&merchant);
        fits.then(|| {
            json!({
                "openid": id,
                "role_id": words.as_ref().and_then(|words| words.role_id),
                "retail_id": words.as_ref().and_then(|words| words.retail_id.clone()),
                "extra_info": words.as_ref().and_then(|words| words.extra_info.clone()),
                "name": format!("推广员{}", index + 1),
                "phone": format!("1380000{:04}", index % 10_000),
                "auth_status": auth_status,
                "decl_status": 1,
                "update_time": 1_668_614_400 + index,
                "id": (index + 1).to_string(),
            })
        })
    });
    let rows: Vec<Value> = rows.take(PAGE_ROWS).collect();
    (!rows.is_empty()).then(|| json!({"promoter_list": rows, "total_cnt": rows.len(), "errcode": 0, "errmsg": "OK"}))
}
