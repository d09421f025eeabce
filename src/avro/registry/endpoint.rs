//! The registry's URLs, and those of its calls.

use url::Url;

use super::error::SetupError;

/// One or more URLs, separated by commas.
pub(super) fn parse_urls(urls: &str) -> Result<Vec<Url>, SetupError> {
    let texts = urls.split(',').map(str::trim).filter(|text| !text.is_empty());
    let urls: Vec<Url> = texts.enumerate().map(|(at, text)| parse_url(at + 1, text)).collect::<Result<_, _>>()?;
    if urls.is_empty() { Err(SetupError::Empty) } else { Ok(urls) }
}

fn parse_url(number: usize, text: &str) -> Result<Url, SetupError> {
    let url = Url::parse(text).map_err(|_| SetupError::Syntax(number))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(SetupError::Scheme(number));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SetupError::Credentials(number));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(SetupError::Query(number));
    }
    Ok(url)
}

#[derive(Clone, Copy)]
pub(super) enum Call {
    LookUp,
    Register,
    Check,
}

/// The URL of the schema with this id, below `base`.
pub(super) fn schema_url(base: &Url, id: i32) -> Url {
    below(base, &["schemas", "ids", &id.to_string()])
}

fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    url.path_segments_mut().expect("http URLs have paths").pop_if_empty().extend(segments);
    url
}

impl Call {
    /// The call's URL below `base`, with the subject percent-encoded, so that none can reach another endpoint.
    pub fn url(self, base: &Url, subject: &str) -> Url {
        let mut url = match self {
            Call::LookUp => below(base, &["subjects", subject]),
            Call::Register => below(base, &["subjects", subject, "versions"]),
            Call::Check => below(base, &["compatibility", "subjects", subject, "versions", "latest"]),
        };
        if let Call::Check = self {
            // Else the verdict comes without its reasons.
            url.set_query(Some("verbose=true"));
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_separated_by_commas_and_keep_their_paths() {
        let urls = parse_urls("http://one:8081, https://two/apis/ccompat/v7/ ,").unwrap();
        let endpoints: Vec<String> = urls.iter().map(|url| Call::LookUp.url(url, "t-value").to_string()).collect();
        assert_eq!(endpoints, ["http://one:8081/subjects/t-value", "https://two/apis/ccompat/v7/subjects/t-value"]);
    }

    #[test]
    fn a_subject_can_not_reach_another_endpoint() {
        let url = Url::parse("http://one/base").unwrap();
        let endpoint = Call::LookUp.url(&url, "../a/b?c#d%2F é").to_string();
        assert_eq!(endpoint, "http://one/base/subjects/..%2Fa%2Fb%3Fc%23d%252F%20%C3%A9");
    }

    #[test]
    fn a_url_that_can_not_be_used_is_named_by_its_place_only() {
        let of = |urls: &str| parse_urls(urls).unwrap_err();
        assert_eq!(of(" , "), SetupError::Empty);
        assert_eq!(of("http://one,two"), SetupError::Syntax(2));
        assert_eq!(of("ftp://one"), SetupError::Scheme(1));
        assert_eq!(of("http://one,http://user:hidden@two"), SetupError::Credentials(2));
        assert_eq!(of("http://one?token=hidden"), SetupError::Query(1));
    }
}
