//! How tokens are come by, in librdkafka's own words: its properties are read here, because its build has no OIDC, and
//! because it renews no token where its events are polled.

use secrecy::SecretString;
use url::Url;

use super::LoginIssuer;
use super::unsecured::Unsecured;

const MECHANISMS: [&str; 2] = ["sasl.mechanisms", "sasl.mechanism"];
const METHOD: &str = "sasl.oauthbearer.method";
const UNSECURED: &str = "enable.sasl.oauthbearer.unsecure.jwt";
const CONFIG: &str = "sasl.oauthbearer.config";
const GRANT: &str = "sasl.oauthbearer.grant.type";
const ENDPOINT: &str = "sasl.oauthbearer.token.endpoint.url";
const SCOPE: &str = "sasl.oauthbearer.scope";
const EXTENSIONS: &str = "sasl.oauthbearer.extensions";
/// Each with librdkafka's second name for it.
const CLIENT_ID: [&str; 2] = ["sasl.oauthbearer.client.id", "sasl.oauthbearer.client.credentials.client.id"];
const CLIENT_SECRET: [&str; 2] =
    ["sasl.oauthbearer.client.secret", "sasl.oauthbearer.client.credentials.client.secret"];
/// The authorities of an https endpoint: here both hold PEM, or the word that stands for the system's.
const AUTHORITIES: [&str; 2] = ["https.ca.location", "https.ca.pem"];
const SYSTEM_AUTHORITIES: &str = "probe";

/// A name and a value that a client tells the broker beside its token.
pub type Extension = (String, String);

/// Where the tokens come from. Its `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Login {
    pub(super) method: LoginMethod,
    pub extensions: Vec<Extension>,
}

#[derive(Clone, Debug)]
pub(super) enum LoginMethod {
    ClientCredentials(ClientCredentials),
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
    [METHOD, UNSECURED, CONFIG, GRANT, ENDPOINT, SCOPE, EXTENSIONS]
        .iter()
        .chain(both)
        .chain(&OTHER_GRANTS)
        .any(|known| *known == name)
}

impl Login {
    /// Reads the properties of a login by tokens, where one is asked for, or says everything that is wrong with them.
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

struct LoginReader<'a> {
    properties: Properties<'a>,
    faults: Vec<LoginProblem>,
}

impl<'a> LoginReader<'a> {
    fn given(&self, name: &str) -> Option<&'a str> {
        self.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn fault(&mut self, property: &'static str, what: impl Into<String>, remedy: impl Into<String>) {
        self.faults.push(LoginProblem { property: property.into(), what: what.into(), remedy: remedy.into() });
    }

    fn method(&mut self) -> Option<(LoginMethod, Vec<Extension>)> {
        self.refuse_other_grants();
        let is_unsecured = self.is_unsecured()?;
        match self.given(METHOD).map(str::to_ascii_lowercase).as_deref() {
            Some("oidc") if is_unsecured => {
                self.fault(UNSECURED, "goes without a token endpoint", format!("remove it, or {METHOD}"));
                None
            }
            Some("oidc") => {
                self.client_credentials().map(|credentials| (LoginMethod::ClientCredentials(credentials), vec![]))
            }
            None | Some("default") if is_unsecured => self.unsecured(),
            None | Some("default") => {
                let what = "is \"default\", whose tokens nobody signs, and those are not allowed";
                let remedy = format!(
                    "write \"oidc\", beside {ENDPOINT}, {} and {}; or, for tests only, {UNSECURED} = true beside {CONFIG}",
                    CLIENT_ID[0], CLIENT_SECRET[0]
                );
                self.fault(METHOD, what, remedy);
                None
            }
            Some(_) => {
                self.fault(METHOD, "is no method known here", "write \"oidc\"");
                None
            }
        }
    }

    fn is_unsecured(&mut self) -> Option<bool> {
        let Some(value) = self.given(UNSECURED) else { return Some(false) };
        match value.to_ascii_lowercase().as_str() {
            "true" | "t" | "1" => Some(true),
            "false" | "f" | "0" => Some(false),
            _ => {
                self.fault(UNSECURED, "is neither true nor false", "write true or false");
                None
            }
        }
    }

    /// Other ways to a token than a client's own credentials.
    fn refuse_other_grants(&mut self) {
        let remedy = "remove it: tokens are had by the client's own id and secret";
        if self.given(GRANT).is_some_and(|grant| !grant.eq_ignore_ascii_case("client_credentials")) {
            self.fault(GRANT, "is a grant that this connector does not ask for", remedy);
        }
        for name in OTHER_GRANTS {
            if self.given(name).is_some_and(|value| !value.eq_ignore_ascii_case("none")) {
                self.fault(name, "belongs to a grant that this connector does not ask for", remedy);
            }
        }
    }

    fn client_credentials(&mut self) -> Option<ClientCredentials> {
        self.refuse_beside(&[CONFIG], "\"default\"");
        let endpoint = self.required(&[ENDPOINT]).map(|(_, text)| text).and_then(|text| self.endpoint(text));
        let client_id = self.required(&CLIENT_ID);
        let secret = self.required(&CLIENT_SECRET);
        if let Some((name, _)) = client_id.filter(|(_, id)| id.contains(':')) {
            self.fault(name, "holds a colon, which ends it where it is sent", "write the id without one");
        }
        let authorities = AUTHORITIES.map(|name| Some((name, self.given(name)?)));
        if let [Some(_), Some((pem, _))] = authorities {
            self.fault(pem, format!("is given beside {}", AUTHORITIES[0]), "remove one of them");
        }
        let authorities = authorities.into_iter().flatten().find(|(_, text)| *text != SYSTEM_AUTHORITIES);
        let credentials = ClientCredentials {
            endpoint: endpoint?,
            client_id: client_id?.1.to_owned(),
            secret: secret?.1.into(),
            scope: self.given(SCOPE).filter(|scope| !scope.trim().is_empty()).map(str::to_owned),
            authorities: authorities.map(|(_, text)| text.to_owned()),
        };
        self.check(authorities.map_or(AUTHORITIES[0], |(name, _)| name), &credentials);
        Some(credentials)
    }

    /// Whether an endpoint can be made of them, which looks at the authorities.
    fn check(&mut self, authorities: &'static str, credentials: &ClientCredentials) {
        let login = Login { method: LoginMethod::ClientCredentials(credentials.clone()), extensions: Vec::new() };
        if let Err(what) = LoginIssuer::new(&login) {
            self.fault(
                authorities,
                what.to_string(),
                "name a file of certificates in PEM, or remove it to trust the system's",
            );
        }
    }

    fn endpoint(&mut self, text: &str) -> Option<Url> {
        let url = Url::parse(text).ok().filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
        let Some(url) = url else {
            self.fault(ENDPOINT, "is not an http or https URL", "write one such as \"https://host/oauth2/token\"");
            return None;
        };
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            self.fault(ENDPOINT, "holds credentials or a fragment", "leave them out");
            return None;
        }
        Some(url)
    }

    fn unsecured(&mut self) -> Option<(LoginMethod, Vec<Extension>)> {
        self.refuse_beside(
            &[ENDPOINT, CLIENT_ID[0], CLIENT_ID[1], CLIENT_SECRET[0], CLIENT_SECRET[1], SCOPE],
            "\"oidc\"",
        );
        self.refuse_beside(&AUTHORITIES, "\"oidc\"");
        let remedy = "write such as \"principal=user lifeSeconds=600\"";
        match Unsecured::parse(self.given(CONFIG).unwrap_or_default()) {
            Ok((unsecured, extensions)) => {
                let pairs = extensions.iter().map(|(key, value)| (key.as_str(), value.as_str()));
                self.check_extensions(CONFIG, pairs);
                Some((LoginMethod::Unsecured(unsecured), extensions))
            }
            Err(what) => {
                self.fault(CONFIG, what.to_string(), remedy);
                None
            }
        }
    }

    /// What would have no effect.
    fn refuse_beside(&mut self, names: &[&'static str], method: &str) {
        for name in names {
            if self.given(name).is_some() {
                self.fault(name, format!("belongs to {METHOD} = {method} only"), "remove it");
            }
        }
    }

    /// The value under one of the names, and that name.
    fn required(&mut self, names: &[&'static str]) -> Option<(&'static str, &'a str)> {
        let given: Vec<_> = names.iter().filter_map(|name| Some((*name, self.given(name)?))).collect();
        match given[..] {
            [] => {
                self.fault(names[0], format!("is missing beside {METHOD} = \"oidc\""), "write it");
                None
            }
            [(name, value), ..] if value.trim().is_empty() => {
                self.fault(name, "is empty", "write it");
                None
            }
            [_, (second, _)] => {
                self.fault(second, format!("is the second name of {}", names[0]), "remove one of them");
                None
            }
            [(name, value), ..] => Some((name, value)),
        }
    }

    fn extensions(&mut self, text: &str) -> Vec<Extension> {
        let pairs: Vec<_> =
            text.split(',').map(|pair| pair.trim().split_once('=').unwrap_or((pair.trim(), ""))).collect();
        self.check_extensions(EXTENSIONS, pairs.iter().copied());
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// As RFC 7628, section 3.1, has them.
    fn check_extensions<'b>(&mut self, property: &'static str, pairs: impl Iterator<Item = (&'b str, &'b str)>) {
        let mut keys = Vec::new();
        for (number, (key, value)) in pairs.enumerate() {
            let is_key = !key.is_empty() && key != "auth" && key.bytes().all(|byte| byte.is_ascii_alphabetic());
            let is_value = !value.is_empty() && value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            if !is_key || !is_value || keys.contains(&key) {
                let what = format!("has no usable pair as extension {}", number + 1);
                let remedy = "write each key once, in letters, and not \"auth\": \"key=value,other=value\"";
                self.fault(property, what, remedy);
            }
            keys.push(key);
        }
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
