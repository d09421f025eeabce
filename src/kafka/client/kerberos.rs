//! Kerberos, which is in a build by the cargo feature `gssapi` alone: what asks for it is told so where it is missing, and nobody
//! is asked for a ticket by a client that is only looked at.

use rdkafka::ClientConfig;

/// By librdkafka's two names for them.
const MECHANISMS: [&str; 2] = ["sasl.mechanisms", "sasl.mechanism"];
const PROTOCOL: &str = "security.protocol";
const PREFIX: &str = "sasl.kerberos.";
const TICKET_COMMAND: &str = "sasl.kerberos.kinit.cmd";

/// What asks for Kerberos; both read on from the property's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KerberosProblem {
    pub property: String,
    pub what: &'static str,
    pub remedy: &'static str,
}

/// Whether librdkafka was built with it.
pub const IS_BUILT_IN: bool = cfg!(feature = "gssapi");

/// What asks for Kerberos where it is not built in.
pub fn absent(properties: &[(String, String)]) -> Vec<KerberosProblem> {
    if IS_BUILT_IN { Vec::new() } else { asking(properties) }
}

/// Whether a property is taken out with Kerberos: librdkafka would complain of the rest in words that name no feature.
pub fn is_about(name: &str) -> bool {
    name == PROTOCOL || MECHANISMS.contains(&name) || name.starts_with(PREFIX)
}

fn asking(properties: &[(String, String)]) -> Vec<KerberosProblem> {
    let given = |names: &[&str]| properties.iter().find(|(name, _)| names.contains(&name.as_str()));
    let mut problems = Vec::new();
    let mut add =
        |property: &str, what, remedy| problems.push(KerberosProblem { property: property.into(), what, remedy });
    let has_sasl = given(&[PROTOCOL]).is_some_and(|(_, value)| value.to_ascii_lowercase().starts_with("sasl"));
    match given(&MECHANISMS) {
        Some((name, value)) if value.trim().eq_ignore_ascii_case("GSSAPI") => {
            add(name, NEEDED, "build the connector with --features gssapi, or write another mechanism");
        }
        None if has_sasl => add(
            PROTOCOL,
            "has no sasl.mechanisms beside it, and GSSAPI, which is then meant, needs the cargo feature gssapi, which is not in \
             this build",
            "write sasl.mechanisms, such as \"SCRAM-SHA-512\", or build the connector with --features gssapi",
        ),
        _ => {}
    }
    for (name, _) in properties.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        add(name, NEEDED, "build the connector with --features gssapi, or remove it");
    }
    problems
}

const NEEDED: &str = "needs the cargo feature gssapi, which is not in this build";

/// The properties for clients that connect nowhere: each would run the command that asks for a ticket. So it ends before it begins, and
/// what stands in it is looked at all the same.
pub fn without_tickets(mut properties: Vec<(String, String)>) -> Vec<(String, String)> {
    if !IS_BUILT_IN || asking(&properties).is_empty() {
        return properties;
    }
    let command = match properties.iter().position(|(name, _)| name == TICKET_COMMAND) {
        Some(at) => properties.remove(at).1,
        // librdkafka's own.
        None => {
            ClientConfig::new().create_native_config().and_then(|config| config.get(TICKET_COMMAND)).unwrap_or_default()
        }
    };
    if !command.is_empty() {
        properties.push((TICKET_COMMAND.to_owned(), format!("exit 0; {command}")));
    }
    properties
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(properties: &[(&str, &str)]) -> Vec<(String, String)> {
        properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn asked_by(properties: &[(&str, &str)]) -> Vec<String> {
        asking(&owned(properties)).into_iter().map(|problem| problem.property).collect()
    }

    #[test]
    fn what_is_built_in_is_what_the_feature_says() {
        let built_in = ClientConfig::new().create_native_config().unwrap().get("builtin.features").unwrap();
        assert_eq!(built_in.split(',').any(|feature| feature == "sasl_gssapi"), IS_BUILT_IN, "{built_in}");
        assert_eq!(absent(&owned(&[("sasl.mechanisms", "GSSAPI")])).is_empty(), IS_BUILT_IN);
    }

    #[test]
    fn kerberos_is_asked_for_by_its_name_its_properties_or_by_no_mechanism_at_all() {
        let sasl = ("security.protocol", "SASL_SSL");
        assert_eq!(asked_by(&[sasl]), ["security.protocol"]);
        assert_eq!(asked_by(&[("sasl.mechanism", "gssapi")]), ["sasl.mechanism"]);
        let (plain, keytab) = (("sasl.mechanisms", "PLAIN"), ("sasl.kerberos.keytab", "a"));
        assert_eq!(asked_by(&[sasl, plain, keytab]), ["sasl.kerberos.keytab"]);
        assert_eq!(asked_by(&[sasl, plain]), [""; 0]);
        assert_eq!(asked_by(&[("security.protocol", "ssl")]), [""; 0]);
    }

    #[cfg(feature = "gssapi")]
    #[test]
    fn a_client_that_is_looked_at_asks_for_no_ticket_and_what_its_command_lacks_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let asked = directory.path().join("asked");
        let command = format!("touch {} %{{sasl.kerberos.keytab}}", asked.display());
        let mut properties =
            owned(&[("security.protocol", "sasl_plaintext"), ("sasl.kerberos.kinit.cmd", command.as_str())]);
        let told = super::super::properties::complaints(&properties);
        assert!(told.len() == 1 && told[0].words.contains("\"sasl.kerberos.keytab\""), "{told:?}");
        properties.push(("sasl.kerberos.keytab".into(), "/nowhere".into()));
        assert_eq!(super::super::properties::complaints(&properties), []);
        assert!(!asked.exists());
        let without = without_tickets(owned(&[("sasl.mechanisms", "GSSAPI")]));
        assert!(without[1].1.starts_with("exit 0; kinit "), "{without:?}");
    }
}
