//! `[kafka]`: any librdkafka property, except where the promise of exactly once rests on the connector's own choice.

use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::reader::document::{Node, TomlValue, join};
use super::reader::problem::Mistake;
use super::reader::secret;
use super::reader::section::{Context, Section};
use crate::kafka::client::credentials::BrokerCredentials;
use crate::kafka::client::kerberos::{self, KerberosProblem};
use crate::kafka::client::properties::{self, Complaint};
use crate::oauth::{self, Login, LoginProblem};
use crate::secret::Secret;

/// librdkafka's properties, as it spells them; and what of the login changes while the process lives. How tokens are come by is
/// not among the properties.
pub fn read(section: Section) -> (Vec<(String, String)>, Option<BrokerCredentials>) {
    let mut entries = Vec::new();
    flatten("", section.entries(), &mut entries);
    if !entries.iter().any(|(name, _)| BOOTSTRAP.contains(&name.as_str())) {
        let remedy = "write \"bootstrap.servers\" = \"host:9092\"";
        section.problem(BOOTSTRAP[0], Mistake::new("is missing", remedy));
    }
    let mut reader =
        PropertyReader { context: section.context(), properties: Vec::new(), lines: Vec::new(), password: None };
    for (name, node) in entries {
        reader.entry(&name, node);
    }
    // Before librdkafka looks: its build has no OIDC, and would refuse the properties of a login as unknown.
    let login = reader.login();
    reader.refuse_absent_kerberos();
    reader.validate_by_librdkafka();
    let PropertyReader { properties, password, .. } = reader;
    let username = properties.iter().find(|(name, _)| name == "sasl.username").map(|(_, value)| value.as_str());
    let credentials = BrokerCredentials::new(login, username, password);
    (properties, credentials)
}

/// The second is librdkafka's older name of the first.
const BOOTSTRAP: [&str; 2] = ["bootstrap.servers", "metadata.broker.list"];

const PASSWORD: &str = "sasl.password";
const PASSWORD_FILE: &str = "sasl.password_file";

/// The properties that hold a secret, and may come from a file of their own by `…_file`.
const SECRETS: [&str; 7] = [
    PASSWORD,
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.client.credentials.client.secret",
    "sasl.oauthbearer.config",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
];

/// The properties that name files for librdkafka: they begin where all paths of the configuration do, wherever the process
/// was started.
const FILES: [&str; 6] = [
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.crl.location",
    "ssl.key.location",
    "ssl.keystore.location",
    "sasl.kerberos.keytab",
];

/// The authorities of https endpoints: a file, which is read here, since librdkafka knows nothing of it in this build; or a
/// word for the system's.
const AUTHORITIES: &str = "https.ca.location";
const PROBE: &str = "probe";
/// Far above the authorities of the whole web.
const AUTHORITIES_BYTES_MAX: u64 = 1024 * 1024;

/// TOML reads an unquoted `security.protocol` as a table; gives every property under its whole name.
fn flatten<'a>(path: &str, table: &'a [(String, Node)], entries: &mut Vec<(String, &'a Node)>) {
    for (key, node) in table {
        let name = join(path, key);
        match &node.value {
            TomlValue::Table(table) => flatten(&name, table, entries),
            _ => entries.push((name, node)),
        }
    }
}

struct PropertyReader<'a> {
    context: &'a Context<'a>,
    properties: Vec<(String, String)>,
    /// Of each property.
    lines: Vec<usize>,
    /// Where it stands in a file of its own, which is read again.
    password: Option<Secret>,
}

impl PropertyReader<'_> {
    fn entry(&mut self, name: &str, node: &Node) {
        if matches!(node.value, TomlValue::Reported) {
            return;
        }
        match self.property(name, &node.value) {
            Ok(property) => {
                self.properties.push(property);
                self.lines.push(node.line);
            }
            Err(mistake) => self.context.problems.add(join("kafka", name), Some(node.line), mistake),
        }
    }

    /// # Errors
    /// Where it is set twice, has a value that is none of a property, names a file that can't be read, or would break
    /// what the connector promises.
    fn property(&mut self, name: &str, value: &TomlValue) -> Result<(String, String), Mistake> {
        if name == PASSWORD_FILE {
            let password = secret::kept_in_file(value, self.context.directory)?;
            self.refuse_second(PASSWORD)?;
            let text = password.latest().expose_secret().to_owned();
            self.password = Some(password);
            return Ok((PASSWORD.to_owned(), text));
        }
        if let Some(secret_name) = name.strip_suffix("_file").filter(|name| SECRETS.contains(name)) {
            let read = if secret_name == "ssl.key.pem" { secret::from_file_of_lines } else { secret::from_file };
            let secret = read(value, self.context.directory)?;
            self.refuse_second(secret_name)?;
            return Ok((secret_name.to_owned(), secret.expose_secret().to_owned()));
        }
        let text = match value {
            TomlValue::Text(text) => text.clone(),
            TomlValue::Integer(integer) => integer.to_string(),
            TomlValue::Float(float) => float.to_string(),
            TomlValue::Boolean(boolean) => boolean.to_string(),
            _ => return Err(Mistake::new("is no property's value", "write a text, a number, true or false")),
        };
        self.refuse_second(name)?;
        refuse(name, &text)?;
        let directory = self.context.directory;
        let text = match name {
            "ssl.ca.location" | AUTHORITIES if text == PROBE => text,
            AUTHORITIES => secret::read_file(&secret::path(value, directory)?, AUTHORITIES_BYTES_MAX, directory)?,
            name if FILES.contains(&name) => path_text(secret::openable(value, directory)?)?,
            _ => text,
        };
        Ok((name.to_owned(), text))
    }

    /// Takes the properties of a login by tokens out of the others, and reports what is wrong with them.
    fn login(&mut self) -> Option<Login> {
        let login = Login::read(&self.properties).unwrap_or_else(|faults| {
            for LoginProblem { property, what, remedy } in faults {
                self.report(&property, what, remedy);
            }
            None
        });
        self.keep(|name| oauth::is_librdkafkas(name, login.as_ref()));
        login
    }

    fn keep(&mut self, is_kept: impl Fn(&str) -> bool) {
        let properties = std::mem::take(&mut self.properties).into_iter().zip(std::mem::take(&mut self.lines));
        (self.properties, self.lines) = properties.filter(|((name, _), _)| is_kept(name)).unzip();
    }

    /// Reports what asks for Kerberos in a build without it. librdkafka, which would tell it in words of its own, looks at the rest.
    fn refuse_absent_kerberos(&mut self) {
        let absent = kerberos::absent(&self.properties);
        for KerberosProblem { property, what, remedy } in &absent {
            self.report(property, *what, *remedy);
        }
        if !absent.is_empty() {
            self.keep(|name| !kerberos::is_about(name));
        }
    }

    /// What is missing is reported in the line that asks for it.
    fn report(&self, property: &str, what: impl Into<String>, remedy: impl Into<String>) {
        let line = |wanted: &dyn Fn(&str) -> bool| {
            self.properties.iter().zip(&self.lines).find(|((name, _), _)| wanted(name)).map(|(_, line)| *line)
        };
        let line = line(&|name| name == property).or_else(|| line(&|name| name.starts_with("sasl.mechanism")));
        self.context.problems.add(join("kafka", property), line, Mistake::new(what, remedy));
    }

    /// Reports what librdkafka refuses, each in the line of the property at fault.
    fn validate_by_librdkafka(&self) {
        for Complaint { property, words } in properties::complaints(&self.properties) {
            let place = self.properties.iter().zip(&self.lines).find(|((name, _), _)| Some(name) == property.as_ref());
            let (path, line) = match place {
                Some(((name, _), line)) => (join("kafka", name), Some(*line)),
                None => ("kafka".to_owned(), None),
            };
            let nearest = property.filter(|name| !properties::is_known(name)).and_then(|name| nearest(&name));
            let remedy = match nearest {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => "correct it, or remove it".to_owned(),
            };
            let mistake = Mistake::new(format!("is refused by librdkafka: {words}"), remedy);
            self.context.problems.add(path, line, mistake);
        }
    }

    /// A property can be written quoted, as a table, and by its file; librdkafka would take the last.
    ///
    /// # Errors
    /// [`Mistake`] where it was given before, be it under its other name.
    fn refuse_second(&self, name: &str) -> Result<(), Mistake> {
        let names = if BOOTSTRAP.contains(&name) { &BOOTSTRAP[..] } else { &[name] };
        if self.properties.iter().any(|(known, _)| names.contains(&known.as_str())) {
            return Err(Mistake::new("is given twice", "remove one of them"));
        }
        Ok(())
    }
}

/// The name of a property that `name` may have been meant for.
fn nearest(name: &str) -> Option<String> {
    let is_secret_file = |name: &str| name.strip_suffix("_file").is_some_and(|name| SECRETS.contains(&name));
    properties::neighbours(name).find(|name| is_secret_file(name) || properties::is_known(name))
}

/// librdkafka takes texts.
///
/// # Errors
/// [`Mistake`] where it is not UTF-8: what stands in the configuration is, and its directory need not be.
fn path_text(path: PathBuf) -> Result<String, Mistake> {
    let text = path.into_os_string().into_string();
    text.map_err(|_| Mistake::new("names a file below a directory whose name is not UTF-8", "move the configuration"))
}

/// Refuses what would break the connector's promise, with the reason.
///
/// # Errors
/// [`Mistake`], with the promise that would be broken; or where no broker is named.
fn refuse(name: &str, value: &str) -> Result<(), Mistake> {
    let names_brokers = matches!(name, "bootstrap.servers" | "metadata.broker.list");
    if names_brokers && value.split(',').any(|broker| broker.trim().is_empty()) {
        return Err(Mistake::new("names no broker, or an empty one", "write \"host:9092,host:9092\""));
    }
    match broken_promise(name, value) {
        Some(reason) => Err(Mistake::new(format!("can't be set here: {reason}"), "remove it")),
        None => Ok(()),
    }
}

/// Which promise the connector could not keep with this property, if there is one.
fn broken_promise(name: &str, value: &str) -> Option<&'static str> {
    Some(match name {
        "transactional.id" => {
            "it is made of connector.name and connector.instance_id, so that a new start fences the last"
        }
        "group.id" => "it is connector.name, whose instances share the promoters by it",
        "group.instance.id" => {
            "it is connector.instance_id, so that an instance which starts again takes its own place"
        }
        "group.protocol" if value != "classic" => "instances are fenced by the generations of the classic protocol",
        "group.remote.assignor" | "partition.assignment.strategy" => {
            "who owns a promoter's state depends on the assignment that the connector follows"
        }
        "isolation.level" => "state must be read committed, and its end must be asked for uncommitted",
        "enable.idempotence" => "without it the broker could store a retried record twice",
        "enable.auto.commit" | "auto.commit.enable" | "enable.auto.offset.store" | "offset.store.method" => {
            "offsets move only inside the transaction of the records they stand for"
        }
        "auto.offset.reset" => "a new group begins at the earliest offset, or what was written before it is lost",
        "enable.partition.eof" => "the connector needs it to know when its state is read to the end",
        "partitioner" => "a promoter's records meet those of Java programs only by the partitioner murmur2_random",
        "acks" | "request.required.acks" if !matches!(value, "all" | "-1") => {
            "a record is safe only when all in-sync replicas have it"
        }
        "retries" | "message.send.max.retries" if value.trim() == "0" => {
            "a record that is not sent again is lost with its transaction"
        }
        "max.in.flight" | "max.in.flight.requests.per.connection"
            if value.trim().parse::<u32>().is_ok_and(|requests| !(1..=5).contains(&requests)) =>
        {
            "an idempotent producer keeps the order of at most 5 requests"
        }
        "queuing.strategy" if value != "fifo" => "an idempotent producer sends in order",
        "delivery.report.only.error" if value != "false" => "a transaction counts the acknowledgements of its records",
        "enabled_events" => "errors, rebalances and acknowledgements reach the connector as events",
        "test.mock.num.brokers" => "a mock broker keeps nothing",
        "allow.auto.create.topics" if value != "false" => {
            "a topic with a misspelt name would come to be, with settings that nobody chose"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_promise_rests_on_is_refused_with_its_reason() {
        let refused = [
            ("transactional.id", "x"),
            ("isolation.level", "read_committed"),
            ("enable.idempotence", "false"),
            ("enable.auto.commit", "true"),
            ("enable.auto.offset.store", "true"),
            ("partitioner", "random"),
            ("group.id", "x"),
            ("group.instance.id", "x"),
            ("group.protocol", "consumer"),
            ("auto.offset.reset", "latest"),
            ("enable.partition.eof", "false"),
            ("partition.assignment.strategy", "range"),
            ("acks", "1"),
            ("request.required.acks", "0"),
            ("retries", "0"),
            ("message.send.max.retries", "0"),
            ("max.in.flight.requests.per.connection", "6"),
            ("max.in.flight", "1000000"),
            ("delivery.report.only.error", "true"),
            ("allow.auto.create.topics", "true"),
            ("bootstrap.servers", "a:1,,b:1"),
            ("bootstrap.servers", ""),
        ];
        for (name, value) in refused {
            assert!(refuse(name, value).is_err(), "{name} = {value}");
        }
    }

    #[test]
    fn everything_else_passes_through() {
        let passing = [
            ("bootstrap.servers", "a:1, b:1"),
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanisms", "SCRAM-SHA-512"),
            ("sasl.mechanisms", "OAUTHBEARER"),
            ("acks", "all"),
            ("acks", "-1"),
            ("retries", "10"),
            ("max.in.flight", "5"),
            ("group.protocol", "classic"),
            ("linger.ms", "5"),
            ("transaction.timeout.ms", "60000"),
        ];
        for (name, value) in passing {
            assert!(refuse(name, value).is_ok(), "{name} = {value}");
        }
    }
}
