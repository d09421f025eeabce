//! `[[apps]]`: each Mini Program with its credentials, its promoters and what is polled for them.

use std::collections::HashMap;
use std::time::Duration;

use super::feeds::FeedDrafts;
use super::reader::document::TomlValue;
use super::reader::problem::Mistake;
use super::reader::section::Section;
use super::reader::value::{base_url_text, text, word};
use super::retry::RetrySection;
use super::{discovery, promoters, quota, token};
use crate::model::promoter::{AppId, IdKind};
use crate::session::AppSettings;
use crate::upstream::client::ClientSettings;

/// What the sections beside them say of all apps.
pub struct OfAllApps {
    pub feeds: FeedDrafts,
    pub retry: RetrySection,
    /// Calls of one app's polls at once.
    pub in_flight: usize,
    /// How far apart the cursors of a backfill may be.
    pub catch_up_spread: Duration,
}

/// Reads all apps. `None`: a problem was reported, or is among the problems of another section.
pub fn read(root: &mut Section, of_all: &OfAllApps) -> Option<Vec<AppSettings>> {
    let sections = root.sections("apps")?;
    if sections.is_empty() {
        let remedy = "write a table [[apps]] with app_id, secret and promoters";
        root.problem("apps", Mistake::new("has no app", remedy));
    }
    let mut paths: HashMap<AppId, String> = HashMap::new();
    let read_app = |section| read_app(section, of_all, &mut paths);
    // Every app is read before the first failure counts, for the sake of its problems.
    let apps: Vec<Option<AppSettings>> = sections.into_iter().map(read_app).collect();
    apps.into_iter().collect()
}

fn read_app(mut section: Section, of_all: &OfAllApps, paths: &mut HashMap<AppId, String>) -> Option<AppSettings> {
    let app_id = app_id_of(&mut section, paths);
    let feeds = of_all.feeds.overridden_by(section.section("feeds")).settle();
    let token_source = token::read(&mut section);
    let base_url_default = "https://api.weixin.qq.com".to_owned();
    let base_url = section.or("base_url", base_url_default, base_url_text);
    let spare_urls = section.list("spare_urls", base_url_text).into_iter().map(|item| item.value).collect();
    let id_kind =
        section.or("id_kind", IdKind::OpenId, word(&[("openid", IdKind::OpenId), ("unionid", IdKind::UnionId)]));
    let promoters = promoters::read(&mut section, &key_of(app_id.as_ref()));
    let discovery = discovery::read(&mut section);
    let budgets = quota::read(section.section("quota"));
    section.end();
    let RetrySection { retry, breakers, parked_for } = of_all.retry;
    let (app_id, token_source, in_flight) = (app_id?, token_source?, of_all.in_flight);
    let client =
        ClientSettings { app_id, id_kind, base_url, spare_urls, token_source, retry, breakers, budgets, in_flight };
    Some(AppSettings { client, feeds, promoters, parked_for, discovery, catch_up_spread: of_all.catch_up_spread })
}

/// The id of the app that `section` is about, which no app at `paths` has, where it now stands too.
pub fn app_id_of(section: &mut Section, paths: &mut HashMap<AppId, String>) -> Option<AppId> {
    let app_id = section.required("app_id", "write app_id = \"wx…\", the Mini Program's appid", app_id)?;
    if let Some(first) = paths.insert(app_id.clone(), section.path().to_owned()) {
        section.problem("app_id", Mistake::new(format!("is the same as that of {first}"), "merge the two tables"));
    }
    Some(app_id)
}

/// What the promoters of an app are keyed by. A wrong `app_id` is reported and ends the start; its promoters are still checked,
/// under one in its place.
pub fn key_of(app_id: Option<&AppId>) -> AppId {
    app_id.cloned().unwrap_or_else(|| AppId::new("app").expect("a word is a legal id"))
}

/// # Errors
/// [`Mistake`] where it is no text, or can't be an id.
fn app_id(value: &TomlValue) -> Result<AppId, Mistake> {
    AppId::new(&text(value)?).map_err(|error| Mistake::new(error.to_string(), "write the Mini Program's appid"))
}
