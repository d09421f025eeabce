//! How single values are read: text, switches, numbers, words, addresses.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use secrecy::SecretString;
use url::Url;

use super::document::TomlValue;
use super::problem::Mistake;

/// A text as it is written, though it may be empty.
///
/// # Errors
/// [`Mistake`] where it is none.
pub fn quoted(value: &TomlValue) -> Result<&str, Mistake> {
    match value {
        TomlValue::Text(text) => Ok(text),
        _ => Err(Mistake::new("is not text", "write it in quotes")),
    }
}

/// A text that says something.
///
/// # Errors
/// [`Mistake`] where it is none, or blank.
pub fn text(value: &TomlValue) -> Result<String, Mistake> {
    match quoted(value)? {
        text if text.trim().is_empty() => Err(Mistake::new("is empty", "write a text in quotes")),
        text => Ok(text.to_owned()),
    }
}

/// A switch; also as text, which is how it comes from the environment.
///
/// # Errors
/// [`Mistake`] where it is neither.
pub fn boolean(value: &TomlValue) -> Result<bool, Mistake> {
    let boolean = match value {
        TomlValue::Boolean(boolean) => Some(*boolean),
        TomlValue::Text(text) => text.parse().ok(),
        _ => None,
    };
    boolean.ok_or_else(|| Mistake::new("is neither true nor false", "write true or false"))
}

/// A number within `range`; also as text, which is how it comes from the environment.
///
/// # Errors
/// Of what is returned: [`Mistake`] where it is no number, or lies outside.
pub fn number<T>(range: RangeInclusive<T>) -> impl Fn(&TomlValue) -> Result<T, Mistake>
where
    T: TryFrom<i64> + FromStr + PartialOrd + Display,
{
    move |value| {
        let number = match value {
            TomlValue::Integer(integer) => T::try_from(*integer).ok(),
            TomlValue::Text(text) => text.parse().ok(),
            _ => None,
        };
        number.filter(|number| range.contains(number)).ok_or_else(|| {
            let what = format!("is not a whole number from {} to {}", range.start(), range.end());
            Mistake::new(what, "write one")
        })
    }
}

/// One of the `words`, each with its meaning.
///
/// # Errors
/// Of what is returned: [`Mistake`] where it is no text, or none of them.
pub fn word<T: Clone>(words: &[(&str, T)]) -> impl Fn(&TomlValue) -> Result<T, Mistake> {
    move |value| {
        let text = quoted(value)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| meaning.clone());
        found.ok_or_else(|| {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            Mistake::new("is none of the words known here", format!("write {}", words.join(" or ")))
        })
    }
}

/// An http or https address to which paths are added: without credentials, query or fragment. Trailing slashes are left
/// out, but for that of a URL without a path, which `Url` itself writes.
///
/// # Errors
/// [`Mistake`] where it is no such address.
pub fn base_url(value: &TomlValue) -> Result<Url, Mistake> {
    let mut url = http_url(value)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Mistake::new("holds a query or a fragment", "end the URL before the ? or #"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// As [`base_url`], in text: paths follow it directly.
///
/// # Errors
/// As [`base_url`].
pub fn base_url_text(value: &TomlValue) -> Result<String, Mistake> {
    base_url(value).map(|url| url.as_str().trim_end_matches('/').to_owned())
}

/// An http or https address, perhaps with a query; it may be a secret.
///
/// # Errors
/// [`Mistake`] where it is no such address, or holds credentials or a fragment.
pub fn whole_url(value: &TomlValue) -> Result<SecretString, Mistake> {
    let url = http_url(value)?;
    match url.fragment() {
        Some(_) => Err(Mistake::new("holds a fragment", "end the URL before the #")),
        None => Ok(url.as_str().into()),
    }
}

/// # Errors
/// [`Mistake`] where it is no URL with a host, of another scheme, or holds credentials.
fn http_url(value: &TomlValue) -> Result<Url, Mistake> {
    let parsed = Url::parse(quoted(value)?).ok().filter(Url::has_host);
    let url = parsed.ok_or_else(|| Mistake::new("is not a URL", "write one such as \"https://host:8081/path\""))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Mistake::new("is a URL of another kind", "begin it with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Mistake::new("holds credentials", "leave them out of the URL, which appears in logs"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn url(text: &str) -> Result<String, Mistake> {
        base_url_text(&TomlValue::Text(text.to_owned()))
    }

    #[test]
    fn a_base_url_keeps_its_path_and_loses_its_slash() {
        assert_eq!(url("https://api.weixin.qq.com").unwrap(), "https://api.weixin.qq.com");
        assert_eq!(url("http://localhost:8081/").unwrap(), "http://localhost:8081");
        assert_eq!(url("http://h:1/apis/ccompat/v7/").unwrap(), "http://h:1/apis/ccompat/v7");
    }

    #[test]
    fn an_address_that_paths_cannot_be_added_to_is_refused() {
        for text in ["", "host:80", "ftp://h", "http://", "http://h?a=b", "http://h#a", "http://u:p@h", "http://u@h"] {
            assert!(url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_whole_url_may_have_a_query() {
        let whole = |text: &str| whole_url(&TomlValue::Text(text.to_owned())).map(|url| url.expose_secret().to_owned());
        assert_eq!(whole("http://h/token/?app=wx1&key=a%2Fb").unwrap(), "http://h/token/?app=wx1&key=a%2Fb");
        for text in ["h", "ftp://h", "http://h#a", "http://u:p@h"] {
            assert!(whole(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_and_switches_may_come_as_text_from_the_environment() {
        assert_eq!(number(1..=10)(&TomlValue::Text("7".into())).unwrap(), 7);
        assert_eq!(number(1..=10)(&TomlValue::Integer(10)).unwrap(), 10);
        assert!(number(1..=10)(&TomlValue::Integer(11)).is_err());
        assert!(number(1u16..=10)(&TomlValue::Integer(-1)).is_err());
        assert!(number(1..=10)(&TomlValue::Float(2.5)).is_err());
        assert!(boolean(&TomlValue::Text("true".into())).unwrap());
        assert!(boolean(&TomlValue::Text("yes".into())).is_err());
    }
}
