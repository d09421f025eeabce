//! A promoter as the command line names one, whichever app it is of.

use crate::model::promoter::{InvalidId, Promoter};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write the app and the promoter's id with a slash between them, such as wx0123456789abcdef/oABC; a part {0}")]
pub(crate) struct InvalidPromoterName(InvalidId);

/// Reads `APP_ID/ID`.
///
/// # Errors
/// [`InvalidPromoterName`] where one of the two is missing, or can't be an id.
pub(crate) fn named_promoter(text: &str) -> Result<Promoter, InvalidPromoterName> {
    Promoter::from_key(text).map_err(InvalidPromoterName)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_its_app_is_told_how_to_be_written() {
        assert_eq!(named_promoter("wx1/oABC").unwrap().key(), "wx1/oABC");
        for text in ["oABC", "", "/oABC", "wx1/"] {
            let told = named_promoter(text).unwrap_err().to_string();
            assert!(told.contains("such as wx0123456789abcdef/oABC; a part is empty"), "{told}");
        }
    }
}
