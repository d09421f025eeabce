//! The URLs of a registry's calls.

use url::Url;

#[derive(Clone, Copy)]
pub(super) enum Call {
    LookUp,
    Register,
    /// Whether a schema could follow on the last one of its subject.
    Compare,
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
        match self {
            Call::LookUp => below(base, &["subjects", subject]),
            Call::Register => below(base, &["subjects", subject, "versions"]),
            Call::Compare => {
                let mut url = below(base, &["compatibility", "subjects", subject, "versions", "latest"]);
                // With the reasons.
                url.set_query(Some("verbose=true"));
                url
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_keeps_the_path_of_its_registry() {
        let of = |url: &str| Call::LookUp.url(&Url::parse(url).unwrap(), "t-value").to_string();
        assert_eq!(of("http://one:8081"), "http://one:8081/subjects/t-value");
        assert_eq!(of("https://two/apis/ccompat/v7/"), "https://two/apis/ccompat/v7/subjects/t-value");
    }

    #[test]
    fn a_subject_can_not_reach_another_endpoint() {
        let url = Url::parse("http://one/base").unwrap();
        let endpoint = Call::LookUp.url(&url, "../a/b?c#d%2F é").to_string();
        assert_eq!(endpoint, "http://one/base/subjects/..%2Fa%2Fb%3Fc%23d%252F%20%C3%A9");
    }
}
