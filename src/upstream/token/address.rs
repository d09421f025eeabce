//! A company's own token server: its address, and which parts of that must never be shown.

use std::cmp::Reverse;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// From this many bytes on a segment of the path may be a key. Shorter ones are words, which errors are full of.
const KEY_BYTES_MIN: usize = 16;

/// The address of a company's own token server, and what it wants to be told. Both may hold a key.
#[derive(Clone, Debug)]
pub struct TokenUrl {
    pub url: SecretString,
    /// Names and values of headers.
    pub headers: Vec<(String, SecretString)>,
}

impl From<String> for TokenUrl {
    fn from(url: String) -> TokenUrl {
        TokenUrl { url: url.into(), headers: Vec::new() }
    }
}

impl TokenUrl {
    /// Everything that the server could echo of a key, the longest first: an echo of the whole is cut out as a whole.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        let url = self.url.expose_secret();
        let mut secrets = vec![url.to_owned()];
        if let Ok(parsed) = Url::parse(url) {
            secrets.extend(of_url(&parsed));
        }
        for (_, value) in &self.headers {
            let value = value.expose_secret();
            secrets.push(value.to_owned());
            // Behind the name of a scheme, such as "Bearer".
            secrets.extend(value.split_whitespace().skip(1).map(str::to_owned));
        }
        secrets.sort_by_key(|secret| Reverse(secret.len()));
        secrets.dedup();
        secrets.into_iter().map(SecretString::from).collect()
    }
}

fn of_url(url: &Url) -> Vec<String> {
    let mut secrets: Vec<String> = url.password().into_iter().map(str::to_owned).collect();
    if let Some(query) = url.query() {
        secrets.push(format!("{}?{query}", url.path()));
        secrets.push(query.to_owned());
        // As they stand there, and as they are read.
        secrets.extend(query.split('&').filter_map(|pair| pair.split_once('=')).map(|(_, value)| value.to_owned()));
        secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    }
    let keys = url.path_segments().into_iter().flatten().filter(|segment| segment.len() >= KEY_BYTES_MIN);
    secrets.extend(keys.map(str::to_owned));
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_that_may_be_a_key_is_a_secret_and_no_plain_word() {
        let address = TokenUrl {
            url: "https://user:pa55word@tokens.internal/token/0123456789abcdef?key=S3cr%2Bt&app=wx1".to_owned().into(),
            headers: vec![("Authorization".into(), "Bearer H3ad3r".to_owned().into())],
        };
        let secrets = address.secrets();
        let secrets: Vec<&str> = secrets.iter().map(ExposeSecret::expose_secret).collect();
        for secret in
            ["pa55word", "0123456789abcdef", "S3cr%2Bt", "S3cr+t", "H3ad3r", "Bearer H3ad3r", "key=S3cr%2Bt&app=wx1"]
        {
            assert!(secrets.contains(&secret), "{secret} in {secrets:?}");
        }
        assert!(secrets.is_sorted_by_key(|secret| Reverse(secret.len())));
        for word in ["token", "Bearer", "tokens.internal"] {
            assert!(!secrets.contains(&word), "{word} in {secrets:?}");
        }
    }
}
