//! What the instances of a connector have to be configured with alike, short enough to be compared with others: what one of them
//! publishes must not depend on which one a promoter is with.

use std::collections::BTreeMap;
use std::fmt;

const HASH_HEX: usize = 8;

/// A hash of each section, by its name in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigurationDigest(BTreeMap<String, String>);

impl ConfigurationDigest {
    /// Of what each section says, in words that are the same wherever the same is meant. A name has no white space, no comma
    /// and no equals sign.
    pub fn new(sections: impl IntoIterator<Item = (String, String)>) -> ConfigurationDigest {
        let hashed =
            |(name, said): (String, String)| (name, blake3::hash(said.as_bytes()).to_hex()[..HASH_HEX].to_owned());
        ConfigurationDigest(sections.into_iter().map(hashed).collect())
    }

    /// What [`fmt::Display`] has made of one. A part that is none is left out.
    pub fn read(text: &str) -> ConfigurationDigest {
        let parts = text.split(',').filter_map(|part| part.split_once('='));
        ConfigurationDigest(parts.map(|(name, hash)| (name.to_owned(), hash.to_owned())).collect())
    }

    /// The sections that say something else in `other`. One that only one of them has, as a newer version may, says nothing.
    pub fn differing<'a>(&'a self, other: &ConfigurationDigest) -> Vec<&'a str> {
        let differs = |(name, hash): &(&String, &String)| other.0.get(*name).is_some_and(|theirs| theirs != *hash);
        self.0.iter().filter(differs).map(|(name, _)| name.as_str()).collect()
    }
}

/// Without white space.
impl fmt::Display for ConfigurationDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, hash)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{name}={hash}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(sections: &[(&str, &str)]) -> ConfigurationDigest {
        ConfigurationDigest::new(sections.iter().map(|(name, said)| ((*name).to_owned(), (*said).to_owned())))
    }

    #[test]
    fn a_section_that_says_something_else_is_named() {
        let ours = digest(&[("apps", "wx1"), ("feeds.touches", "10m"), ("topics", "a")]);
        let theirs = digest(&[("feeds.touches", "20m"), ("apps", "wx1"), ("topics", "b")]);
        assert_eq!(ours.differing(&ours), [""; 0]);
        assert_eq!(ours.differing(&theirs), ["feeds.touches", "topics"]);
    }

    #[test]
    fn a_digest_is_read_back_as_it_was_written_without_white_space() {
        let ours = digest(&[("apps", "wx1"), ("feeds.touches", "10m of a b")]);
        let written = ours.to_string();
        assert!(!written.contains(char::is_whitespace) && written.len() < 60, "{written}");
        assert_eq!(ConfigurationDigest::read(&written), ours);
    }

    #[test]
    fn what_only_one_of_two_versions_knows_is_no_difference() {
        let ours = digest(&[("apps", "wx1"), ("new", "x")]);
        for theirs in ["", "apps", "other=1,,=", &digest(&[("apps", "wx1"), ("old", "y")]).to_string()] {
            assert_eq!(ours.differing(&ConfigurationDigest::read(theirs)), [""; 0], "{theirs}");
        }
    }
}
