//! `[[apps]]`: each Mini Program with its credentials, its promoters and what is polled for them.

use std::collections::HashMap;

use super::feeds::{FeedDrafts, Feeds};
use super::promoters::{self, PromoterEntry};
use super::quota::Quota;
use super::reader::document::Value;
use super::reader::problem::Mistake;
use super::reader::section::Section;
use super::reader::value::{base_url, text, word};
use super::token::TokenSource;
use crate::model::promoter::{AppId, IdKind};

#[derive(Clone, Debug)]
pub struct App {
    pub app_id: AppId,
    pub token: TokenSource,
    /// Without a trailing slash.
    pub base_url: String,
    /// Asked where `base_url` does not answer; without a trailing slash.
    pub spare_urls: Vec<String>,
    pub id_kind: IdKind,
    /// Those of the configuration, each once.
    pub promoters: Vec<PromoterEntry>,
    pub quota: Quota,
    pub feeds: Feeds,
}

/// Reads all apps. `None`: a problem was reported, or is among the problems of another section.
pub fn read(root: &mut Section, feeds: &FeedDrafts) -> Option<Vec<App>> {
    let sections = root.sections("apps")?;
    if sections.is_empty() {
        let remedy = "write a table [[apps]] with app_id, secret and promoters";
        root.problem("apps", Mistake::new("has no app", remedy));
    }
    let mut paths: HashMap<AppId, String> = HashMap::new();
    let read_app = |section| read_app(section, feeds, &mut paths);
    // Every app is read before the first failure counts, for the sake of its problems.
    let apps: Vec<Option<App>> = sections.into_iter().map(read_app).collect();
    apps.into_iter().collect()
}

fn read_app(mut section: Section, feeds: &FeedDrafts, paths: &mut HashMap<AppId, String>) -> Option<App> {
    let app_id = section.required("app_id", "write app_id = \"wx…\", the Mini Program's appid", app_id);
    if let Some(app_id) = &app_id
        && let Some(first) = paths.insert(app_id.clone(), section.path().to_owned())
    {
        section.problem("app_id", Mistake::new(format!("is the same as that of {first}"), "merge the two tables"));
    }
    let feeds = feeds.overridden_by(section.section("feeds")).settle();
    let token = TokenSource::read(&mut section);
    let base_url_default = "https://api.weixin.qq.com".to_owned();
    let base = section.or("base_url", base_url_default, base_url);
    let spare_urls = section.list("spare_urls", base_url).into_iter().map(|item| item.value).collect();
    let id_kind =
        section.or("id_kind", IdKind::OpenId, word(&[("openid", IdKind::OpenId), ("unionid", IdKind::UnionId)]));
    // A wrong app_id is reported and ends the start; its promoters are still checked, under a stand-in.
    let keyed_by = app_id.clone().unwrap_or_else(|| AppId::new("app").expect("a word is a legal id"));
    let promoters = promoters::read(&mut section, &keyed_by, &feeds);
    section.optional("discover", discover);
    let quota = Quota::read(section.section("quota"));
    section.end();
    Some(App { app_id: app_id?, token: token?, base_url: base, spare_urls, id_kind, promoters, quota, feeds })
}

fn app_id(value: &Value) -> Result<AppId, Mistake> {
    AppId::new(&text(value)?).map_err(|error| Mistake::new(error.to_string(), "write the Mini Program's appid"))
}

fn discover(value: &Value) -> Result<(), Mistake> {
    match value {
        Value::Text(text) if text == "off" => Ok(()),
        _ => Err(Mistake::new("asks for discovery, which is not available in this version", "write \"off\"")),
    }
}
