//! What stands in arguments: whom a command is about, and what is to be registered of him.

use std::collections::HashSet;

use crate::changes::settings::RegisteringApp;
use crate::cli::Failure;
use crate::model::feed::{InvalidStartFrom, StartFrom};
use crate::model::feed_set::{FeedSet, UnknownFeed};
use crate::model::promoter::{AppId, InvalidId, Promoter};

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
    each_once(names, |name| promoter(name, apps))
}

/// The same, of any app: whether there is one the registry has to tell.
///
/// # Errors
/// [`Failure`] where a name is none of a promoter.
pub fn promoters_of_any_app(names: &[String], apps: &[RegisteringApp]) -> Result<Vec<Promoter>, Failure> {
    each_once(names, |name| promoter_of_any_app(name, apps.iter().map(|app| &app.app_id)))
}

fn each_once(names: &[String], read: impl Fn(&str) -> Result<Promoter, Failure>) -> Result<Vec<Promoter>, Failure> {
    let (mut promoters, mut known) = (Vec::with_capacity(names.len()), HashSet::with_capacity(names.len()));
    for name in names {
        let promoter = read(name)?;
        if known.insert(promoter.clone()) {
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
    match name.split_once('/') {
        Some((app, promoter_id)) => {
            Promoter::new(self::app(app, apps)?, promoter_id).map_err(|error| invalid(name, &error))
        }
        None => promoter_of_any_app(name, apps.iter().map(|app| &app.app_id)),
    }
}

/// The same, of whichever app it names; `apps` are those that are configured.
///
/// # Errors
/// [`Failure`] where it is none of a promoter, or names no app and several are configured.
pub fn promoter_of_any_app<'a>(
    name: &str,
    mut apps: impl ExactSizeIterator<Item = &'a AppId>,
) -> Result<Promoter, Failure> {
    let promoter = match (name.split_once('/'), apps.len(), apps.next()) {
        (Some((app_id, promoter_id)), ..) => {
            let app_id = AppId::new(app_id)
                .map_err(|error| Failure::Refused(format!("{name}: the part before the slash {error}")))?;
            Promoter::new(&app_id, promoter_id)
        }
        (None, 1, Some(only)) => Promoter::new(only, name),
        (None, ..) => return Err(without_app(name)),
    };
    promoter.map_err(|error| invalid(name, &error))
}

fn without_app(name: &str) -> Failure {
    Failure::Refused(format!("{name} names no app, and several are configured: write APP_ID/{name}"))
}

fn invalid(name: &str, error: &InvalidId) -> Failure {
    Failure::Refused(match name {
        "" => format!("the name of a promoter {error}"),
        name if name.contains('/') => format!("{name}: the part behind the slash {error}"),
        name => format!("{name} {error}"),
    })
}

/// The key behind which a list goes on: that of a promoter, or the id alone where but one app can be meant. It may be of an app that is
/// not configured.
///
/// # Errors
/// [`Failure`] where no app is named, and several may be meant.
pub fn behind(name: &str, app: Option<&str>, apps: &[RegisteringApp]) -> Result<String, Failure> {
    match (name.contains('/'), app, apps) {
        (true, ..) => Ok(name.to_owned()),
        (false, Some(app), _) => Ok(format!("{app}/{name}")),
        (false, None, [only]) => Ok(format!("{}/{name}", only.app_id)),
        (false, None, _) => Err(without_app(name)),
    }
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
    none_of_the_apps(name, apps.iter().map(|app| &app.app_id))
}

/// As [`unknown_app`], of apps that are known by no more than their ids.
pub fn none_of_the_apps<'a>(name: &str, apps: impl ExactSizeIterator<Item = &'a AppId>) -> String {
    let more = if apps.len() > KNOWN_MAX { ", …" } else { "" };
    let known: Vec<&str> = apps.map(AppId::as_str).take(KNOWN_MAX).collect();
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
        assert_eq!(keys(&[""], &["wx1"]).unwrap_err(), "the name of a promoter is empty");
        assert_eq!(keys(&["wx1/"], &["wx1"]).unwrap_err(), "wx1/: the part behind the slash is empty");
    }

    /// A look at all before it for each of them would take minutes.
    #[test]
    fn many_are_read_as_quickly_as_few() {
        let names: Vec<String> = (0..100_000).map(|number| format!("wx1/o{}", number % 50_000)).collect();
        let promoters = promoters(&names, &apps(&["wx1"])).unwrap();
        assert_eq!((promoters.len(), promoters[49_999].key()), (50_000, "wx1/o49999"));
    }

    #[test]
    fn a_promoter_of_any_app_is_named_with_it() {
        let of_any_app = |name: &str| promoters_of_any_app(&[name.to_owned()], &apps(&["wx1"]));
        for (name, key) in [("other/oX", "other/oX"), ("oX", "wx1/oX")] {
            assert_eq!(of_any_app(name).unwrap()[0].key(), key);
        }
        assert_eq!(of_any_app("/oX").unwrap_err().to_string(), "/oX: the part before the slash is empty");
        assert!(of_any_app("other/o/X").is_err());
    }

    #[test]
    fn a_list_goes_on_behind_an_id_alone_where_one_app_can_be_meant() {
        let behind = |name, app, ids: &[&str]| behind(name, app, &apps(ids)).map_err(|failure| failure.to_string());
        assert_eq!(behind("oV", None, &["wx1"]).unwrap(), "wx1/oV");
        assert_eq!(behind("oV", Some("wx2"), &["wx1", "wx2"]).unwrap(), "wx2/oV");
        assert_eq!(behind("other/oV", None, &["wx1"]).unwrap(), "other/oV");
        assert!(behind("oV", None, &["wx1", "wx2"]).unwrap_err().contains("write APP_ID/oV"));
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
