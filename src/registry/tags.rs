//! Notes on a promoter, of whoever registered it: kept, and nothing is read into them.

use std::collections::BTreeMap;

/// Texts under names, in the order of these. Without any it takes one word of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Option<Box<TagTexts>>);

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct TagTexts(BTreeMap<Box<str>, Box<str>>);

/// The tags that the registry and discovery give to one promoter. Without any it takes one word of memory.
#[derive(Clone, Debug, Default)]
pub(super) struct SourceTags(Option<Box<BothTags>>);

#[derive(Clone, Debug)]
pub(super) struct BothTags {
    pub registered: Tags,
    pub discovered: Tags,
}

/// Those of whom nobody has given any.
static NO_TAGS: BothTags = BothTags { registered: Tags(None), discovered: Tags(None) };

impl SourceTags {
    pub fn get(&self) -> &BothTags {
        self.0.as_deref().unwrap_or(&NO_TAGS)
    }

    pub fn set_registered(&mut self, registered: Tags) {
        self.set(BothTags { registered, discovered: self.get().discovered.clone() });
    }

    pub fn set_discovered(&mut self, discovered: Tags) {
        self.set(BothTags { registered: self.get().registered.clone(), discovered });
    }

    fn set(&mut self, tags: BothTags) {
        let any = !tags.registered.is_empty() || !tags.discovered.is_empty();
        self.0 = any.then(|| Box::new(tags));
    }
}

/// How many tags a promoter has at most.
pub const TAGS_MAX: usize = 64;
/// The most that a tag's name or its text takes, in bytes.
pub const TAG_BYTES_MAX: usize = 1024;

/// Why some texts can't be tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTags {
    #[error("are more than {TAGS_MAX}")]
    TooMany,
    #[error("hold a name or a text of more than {TAG_BYTES_MAX} bytes")]
    TooLong,
    #[error("hold a text without a name")]
    Unnamed,
}

impl Tags {
    /// Of two tags with one name the last counts.
    ///
    /// # Errors
    /// Where they are too many, one of them is too long, or one has no name.
    pub fn new<N: AsRef<str>, T: AsRef<str>>(tags: impl IntoIterator<Item = (N, T)>) -> Result<Tags, InvalidTags> {
        let mut texts = TagTexts::default();
        for (name, text) in tags {
            let (name, text) = (name.as_ref(), text.as_ref());
            if name.is_empty() {
                return Err(InvalidTags::Unnamed);
            }
            if name.len().max(text.len()) > TAG_BYTES_MAX {
                return Err(InvalidTags::TooLong);
            }
            texts.0.insert(name.into(), text.into());
            if texts.0.len() > TAGS_MAX {
                return Err(InvalidTags::TooMany);
            }
        }
        Ok(Tags((!texts.0.is_empty()).then(|| Box::new(texts))))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|texts| &texts.0).map(|(name, text)| (&**name, &**text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_stand_in_the_order_of_their_names_and_none_takes_no_memory() {
        let tags = Tags::new([("b", "1"), ("a", "2"), ("b", "3")]).unwrap();
        assert!(tags.iter().eq([("a", "2"), ("b", "3")]));
        assert_eq!(Tags::new::<&str, &str>([]), Ok(Tags::default()));
        assert_eq!(size_of::<Tags>(), size_of::<usize>());
    }

    #[test]
    fn tags_are_bounded_and_named() {
        let many = (0..=TAGS_MAX).map(|number| (number.to_string(), "x"));
        assert_eq!(Tags::new(many), Err(InvalidTags::TooMany));
        assert_eq!(Tags::new([("a", "x".repeat(TAG_BYTES_MAX + 1))]), Err(InvalidTags::TooLong));
        assert_eq!(Tags::new([("", "x")]), Err(InvalidTags::Unnamed));
    }
}
