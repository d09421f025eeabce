//! How tokens are come by, in librdkafka's own words: its properties are read here, because its build has no OIDC, and
//! because it renews no token where its events are polled.

use secrecy::SecretString;
use url::Url;

use self::reader::LoginReader;
use super::Extension;
use super::unsecured::Unsecured;

mod reader;

const MECHANISMS: [&str; 2] = ["sasl.mechanisms", "sasl.mechanism"];
const METHOD: &str = "sasl.oauthbearer.method";
/// The connector's own word, as [`REGION`] is.
const MSK_IAM: &str = "aws_msk_iam";
const UNSECURED: &str = "enable.sasl.oauthbearer.unsecure.jwt";
const CONFIG: &str = "sasl.oauthbearer.config";
const GRANT: &str = "sasl.oauthbearer.grant.type";
const ENDPOINT: &str = "sasl.oauthbearer.token.endpoint.url";
const SCOPE: &str = "sasl.oauthbearer.scope";
/// That of the clusters that tokens of [`MSK_IAM`] are for.
const REGION: &str = "sasl.oauthbearer.aws.region";
const EXTENSIONS: &str = "sasl.oauthbearer.extensions";
/// Each with librdkafka's second name for it.
const CLIENT_ID: [&str; 2] = ["sasl.oauthbearer.client.id", "sasl.oauthbearer.client.credentials.client.id"];
const CLIENT_SECRET: [&str; 2] =
    ["sasl.oauthbearer.client.secret", "sasl.oauthbearer.client.credentials.client.secret"];
/// The authorities of an https endpoint: here both hold PEM, or the word that stands for the system's.
const AUTHORITIES: [&str; 2] = ["https.ca.location", "https.ca.pem"];
const SYSTEM_AUTHORITIES: &str = "probe";

/// Where the tokens come from. Its `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Login {
    pub(super) method: LoginMethod,
    pub extensions: Vec<Extension>,
}

#[derive(Clone, Debug)]
pub(super) enum LoginMethod {
    ClientCredentials(ClientCredentials),
    #[cfg(feature = "msk-iam")]
    MskIam {
        /// Absent: that of the environment.
        region: Option<String>,
    },
    Unsecured(Unsecured),
}

/// What a token endpoint is told.
#[derive(Clone, Debug)]
pub(super) struct ClientCredentials {
    pub endpoint: Url,
    pub client_id: String,
    pub secret: SecretString,
    pub scope: Option<String>,
    /// In PEM; the only ones that are trusted. Absent: the system's.
    pub authorities: Option<String>,
}

/// What is wrong with a property, and what to do about it; both read on from its name. Without values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginProblem {
    pub property: String,
    pub what: String,
    pub remedy: String,
}

type Properties<'a> = &'a [(String, String)];

/// Whether the brokers are told who is there by tokens.
fn is_asked_for(properties: Properties) -> bool {
    let is_mechanism = |name: &str| MECHANISMS.contains(&name);
    properties.iter().any(|(name, value)| is_mechanism(name) && value.trim().eq_ignore_ascii_case("OAUTHBEARER"))
}

/// Of the properties, those that are left to librdkafka, whatever the login: what is read here alone it need not know.
pub fn is_librdkafkas(name: &str, login: Option<&Login>) -> bool {
    let is_known_there = name == UNSECURED || name == CONFIG;
    !is_read_here(name) || (is_known_there && login.is_none())
}

fn is_read_here(name: &str) -> bool {
    let both = CLIENT_ID.iter().chain(&CLIENT_SECRET).chain(&AUTHORITIES);
    [METHOD, UNSECURED, CONFIG, GRANT, ENDPOINT, SCOPE, REGION, EXTENSIONS]
        .iter()
        .chain(both)
        .chain(&OTHER_GRANTS)
        .any(|known| *known == name)
}

impl Login {
    /// Reads the properties of a login by tokens, where one is asked for.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read(properties: Properties) -> Result<Option<Login>, Vec<LoginProblem>> {
        if !is_asked_for(properties) {
            return Login::unused(properties);
        }
        let mut reader = LoginReader { properties, faults: Vec::new() };
        let method = reader.method();
        let extensions = match reader.given(EXTENSIONS) {
            Some(text) => reader.extensions(text),
            None => Vec::new(),
        };
        let login = method.map(|(method, more)| Login { method, extensions: [extensions, more].concat() });
        if reader.faults.is_empty() { Ok(login) } else { Err(reader.faults) }
    }

    /// Properties of a login that nobody asks for; two of them librdkafka takes in silence.
    ///
    /// # Errors
    /// Each of them, as a problem of its own.
    fn unused(properties: Properties) -> Result<Option<Login>, Vec<LoginProblem>> {
        let unused = properties.iter().filter(|(name, _)| !is_librdkafkas(name, None));
        let fault = |(name, _): &(String, String)| LoginProblem {
            property: name.clone(),
            what: "has no effect without sasl.mechanisms = \"OAUTHBEARER\"".into(),
            remedy: "write that beside it, or remove it".into(),
        };
        let faults: Vec<LoginProblem> = unused.map(fault).collect();
        if faults.is_empty() { Ok(None) } else { Err(faults) }
    }
}

/// The properties of grants that are not asked for here.
const OTHER_GRANTS: [&str; 13] = [
    "sasl.oauthbearer.assertion.algorithm",
    "sasl.oauthbearer.assertion.private.key.file",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
    "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.claim.aud",
    "sasl.oauthbearer.assertion.claim.exp.seconds",
    "sasl.oauthbearer.assertion.claim.iss",
    "sasl.oauthbearer.assertion.claim.jti.include",
    "sasl.oauthbearer.assertion.claim.nbf.seconds",
    "sasl.oauthbearer.assertion.claim.sub",
    "sasl.oauthbearer.assertion.jwt.template.file",
    "sasl.oauthbearer.metadata.authentication.type",
];
