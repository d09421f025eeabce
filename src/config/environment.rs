//! `${NAME}` and `${NAME:-default}` in the texts of the file.

use super::problem::Mistake;

/// Looks a variable of the environment up; `None` where it is not set.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces each reference in `text`. What a variable holds is not looked at again, `$${` stands for `${`, and
/// any other `$` for itself. As in a shell, the default counts for a variable that is unset or empty.
pub fn substitute(text: &str, lookup: Lookup) -> Result<String, Mistake> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = (&rest[..at], &rest[at + 2..]);
        if let Some(escaped) = before.strip_suffix('$') {
            result.push_str(escaped);
            result.push_str("${");
            rest = reference;
            continue;
        }
        result.push_str(before);
        let (inside, after) =
            reference.split_once('}').ok_or_else(|| Mistake::new("opens ${ and does not close it", CLOSE))?;
        result.push_str(&resolve(inside, lookup)?);
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

const CLOSE: &str = "write ${NAME} or ${NAME:-default}, or $${ for the two characters themselves";

fn resolve(reference: &str, lookup: Lookup) -> Result<String, Mistake> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(legal) {
        return Err(Mistake::new("refers to a variable by an impossible name", CLOSE));
    }
    match (lookup(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Mistake::new(
            format!("needs the environment variable {name}, which is not set"),
            format!("set it, or write ${{{name}:-default}}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn substituted(text: &str) -> Option<String> {
        let lookup = |name: &str| match name {
            "HOST" => Some("kafka".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${HOST}".to_owned()),
            _ => None,
        };
        substitute(text, &lookup).ok()
    }

    #[test]
    fn references_become_what_the_environment_holds() {
        assert_eq!(substituted("${HOST}:9092,b${HOST}").as_deref(), Some("kafka:9092,bkafka"));
        assert_eq!(substituted("${NESTED}").as_deref(), Some("${HOST}"));
        assert_eq!(substituted("${EMPTY}").as_deref(), Some(""));
    }

    #[test]
    fn a_default_stands_in_for_what_is_unset_or_empty() {
        assert_eq!(substituted("${NONE:-a:-b}").as_deref(), Some("a:-b"));
        assert_eq!(substituted("${EMPTY:-x}").as_deref(), Some("x"));
        assert_eq!(substituted("${HOST:-x}").as_deref(), Some("kafka"));
        assert_eq!(substituted("${NONE:-}").as_deref(), Some(""));
    }

    #[test]
    fn dollars_that_open_nothing_stay() {
        assert_eq!(substituted("pa$$word$").as_deref(), Some("pa$$word$"));
        assert_eq!(substituted("$${HOST} ${HOST}").as_deref(), Some("${HOST} kafka"));
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_refused() {
        for text in ["${NONE}", "${HOST", "${}", "${A B}", "${:-x}"] {
            assert_eq!(substituted(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_without_references_is_left_alone(text in "[^{]*") {
            proptest::prop_assert_eq!(substituted(&text), Some(text));
        }

        #[test]
        fn no_text_panics(text in r"[${}:\-A-Zé]{0,12}") {
            substituted(&text);
        }
    }
}
