//! What stands in arguments: whom a command is about, and what is to be registered of him.

use crate::changes::settings::RegisteringApp;
use crate::cli::Failure;
use crate::model::feed::{InvalidStartFrom, StartFrom};
use crate::model::feed_set::{FeedSet, UnknownFeed};
use crate::model::promoter::{AppId, Promoter};

/// The word for what the configuration says.
const DEFAULT: &str = "default";
/// How many apps are listed.
const KNOWN_MAX: usize = 10;

/// A start as an argument. It is a type of its own because clap takes an inner option for an argument that may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenStart(pub Option<StartFrom>);

/// Feeds joined by commas or semicolons; none stands for what the configuration says.
///
/// # Errors
/// [`UnknownFeed`] with the first word that is none.
pub fn feeds(text: &str) -> Result<FeedSet, UnknownFeed> {
    match text {
        DEFAULT => Ok(FeedSet::default()),
        text => FeedSet::from_words(text.split([',', ';'])),
    }
}

/// # Errors
/// [`InvalidStartFrom`] where it is none.
pub fn start_from(text: &str) -> Result<GivenStart, InvalidStartFrom> {
    match text {
        DEFAULT => Ok(GivenStart(None)),
        text => text.parse().map(Some).map(GivenStart),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a name and a text joined by =")]
pub struct InvalidTag;

/// # Errors
/// [`InvalidTag`] where it is none.
pub fn tag(text: &str) -> Result<(String, String), InvalidTag> {
    let (name, text) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or(InvalidTag)?;
    Ok((name.to_owned(), text.to_owned()))
}

/// The promoters of these names, each once: `APP_ID/ID`, or the id alone where there is but one app.
///
/// # Errors
/// [`Failure`] where a name is none of a promoter, or of an app that is not configured.
pub fn promoters(names: &[String], apps: &[RegisteringApp]) -> Result<Vec<Promoter>, Failure> {
    let mut promoters = Vec::with_capacity(names.len());
    for name in names {
        let promoter = promoter(name, apps)?;
        if !promoters.contains(&promoter) {
            promoters.push(promoter);
        }
    }
    Ok(promoters)
}

/// The promoter of this name.
///
/// # Errors
/// As [`promoters`].
pub fn promoter(name: &str, apps: &[RegisteringApp]) -> Result<Promoter, Failure> {
    let (app, promoter_id) = match (name.split_once('/'), apps) {
        (Some((app, promoter_id)), _) => (self::app(app, apps)?, promoter_id),
        (None, [only]) => (&only.app_id, name),
        (None, _) => {
            let refusal = format!("{name} names no app, and several are configured: write APP_ID/{name}");
            return Err(Failure::Refused(refusal));
        }
    };
    Promoter::new(app, promoter_id).map_err(|error| Failure::Refused(format!("{name} {error}")))
}

/// The app of this id, which is configured.
///
/// # Errors
/// [`Failure`] where it is not configured.
pub fn app<'a>(name: &str, apps: &'a [RegisteringApp]) -> Result<&'a AppId, Failure> {
    let found = apps.iter().map(|app| &app.app_id).find(|app_id| app_id.as_str() == name);
    found.ok_or_else(|| Failure::Refused(unknown_app(name, apps)))
}

/// That there is no such app, and which there are.
pub fn unknown_app(name: &str, apps: &[RegisteringApp]) -> String {
    let known: Vec<&str> = apps.iter().map(|app| app.app_id.as_str()).take(KNOWN_MAX).collect();
    let more = if apps.len() > KNOWN_MAX { ", …" } else { "" };
    format!("{name} is none of the configured apps: {}{more}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::feed::Feed;

    fn apps(ids: &[&str]) -> Vec<RegisteringApp> {
        let app = |id: &&str| RegisteringApp {
            app_id: AppId::new(id).unwrap(),
            feeds: FeedSet::default(),
            promoters: Vec::new(),
        };
        ids.iter().map(app).collect()
    }

    fn keys(names: &[&str], ids: &[&str]) -> Result<Vec<String>, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let promoters = promoters(&names, &apps(ids)).map_err(|failure| failure.to_string())?;
        Ok(promoters.iter().map(|promoter| promoter.key().to_owned()).collect())
    }

    #[test]
    fn a_promoter_is_named_with_its_app_or_without_where_there_is_one() {
        assert_eq!(keys(&["wx1/o1", "o2", "o1"], &["wx1"]).unwrap(), ["wx1/o1", "wx1/o2"]);
        let error = keys(&["o1"], &["wx1", "wx2"]).unwrap_err();
        assert_eq!(error, "o1 names no app, and several are configured: write APP_ID/o1");
        assert_eq!(keys(&["wx3/o1"], &["wx1", "wx2"]).unwrap_err(), "wx3 is none of the configured apps: wx1, wx2");
        assert!(keys(&["wx1/o 1"], &["wx1"]).is_err());
    }

    #[test]
    fn arguments_say_what_is_registered_or_leave_it_to_the_configuration() {
        assert_eq!(feeds("orders, touches"), Ok(FeedSet::from_iter([Feed::Touches, Feed::Orders])));
        assert_eq!((feeds("default"), start_from("default")), (Ok(FeedSet::default()), Ok(GivenStart(None))));
        assert!(feeds("").is_err() && start_from("soon").is_err());
        assert_eq!(tag("shop=a=b"), Ok(("shop".into(), "a=b".into())));
        assert!(tag("shop").is_err() && tag("=x").is_err());
    }
}
