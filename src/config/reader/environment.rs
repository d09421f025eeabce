//! `${NAME}` and `${NAME:-default}` in the texts of the file.

use super::problem::Mistake;

/// Looks a variable of the environment up; `None` where it is not set.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces each reference in `text`. What a variable holds is not looked at again, `$${` stands for `${`, and
/// any other `$` for itself. As in a shell, the default counts for a variable that is unset or empty; without one such a
/// variable is a mistake.
///
/// # Errors
/// [`Mistake`] where a variable is missing, a reference has no end, or its braces are missing.
pub fn substitute(text: &str, environment: Environment) -> Result<String, Mistake> {
    if is_bare(text) {
        let remedy =
            "write ${NAME}; what is meant as it stands can come from a variable or, if it is a secret, from a file";
        return Err(Mistake::new("is a $ and a name, as of a variable whose braces are missing", remedy));
    }
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
        result.push_str(&resolve(inside, environment)?);
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

/// Whether all of `text` reads like `$NAME`.
fn is_bare(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.strip_prefix('$')
        .is_some_and(|name| name.starts_with(|c: char| !c.is_ascii_digit()) && name.chars().all(legal))
}

const CLOSE: &str = "write ${NAME} or ${NAME:-default}, or $${ for the two characters themselves";

/// # Errors
/// Where the name is impossible, or the variable is not set and has no default.
fn resolve(reference: &str, environment: Environment) -> Result<String, Mistake> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(legal) {
        return Err(Mistake::new("refers to a variable by an impossible name", CLOSE));
    }
    let wrong = match environment(name) {
        Some(value) if !value.is_empty() => return Ok(value),
        Some(_) => "empty",
        None => "not set",
    };
    default.map(str::to_owned).ok_or_else(|| {
        let what = format!("needs the environment variable {name}, which is {wrong}");
        Mistake::new(what, format!("set it, or write ${{{name}:-default}}, where the default may be empty"))
    })
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
        assert_eq!(substituted("${EMPTY:-}").as_deref(), Some(""));
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
        for text in ["${NONE}", "${EMPTY}", "a${EMPTY}", "${HOST", "${}", "${A B}", "${:-x}"] {
            assert_eq!(substituted(text), None, "{text}");
        }
    }

    #[test]
    fn a_variable_without_its_braces_is_refused_where_it_is_all_there_is() {
        for text in ["$HOST", "$WX_SECRET", "$_A1"] {
            assert_eq!(substituted(text), None, "{text}");
        }
        for text in ["$", "$1", "$host", "$HOST:9092", "a$HOST", "$$HOST", "$HOST$"] {
            assert_eq!(substituted(text).as_deref(), Some(text));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_without_references_is_left_alone(text in "[^{$]*|[^{]*[^{A-Z0-9_]") {
            proptest::prop_assert_eq!(substituted(&text), Some(text));
        }

        #[test]
        fn no_text_panics(text in r"[${}:\-A-Zé]{0,12}") {
            substituted(&text);
        }
    }
}
