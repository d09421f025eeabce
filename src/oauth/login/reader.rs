//! The properties of a login by tokens, read one by one.

use url::Url;

use super::{
    AUTHORITIES, CLIENT_ID, CLIENT_SECRET, CONFIG, ClientCredentials, ENDPOINT, EXTENSIONS, Extension, GRANT, Login,
    LoginMethod, LoginProblem, METHOD, MSK_IAM, OTHER_GRANTS, Properties, REGION, SCOPE, SYSTEM_AUTHORITIES, UNSECURED,
};
use crate::oauth::LoginIssuer;
use crate::oauth::unsecured::Unsecured;

/// What a token endpoint alone needs.
const ENDPOINTS_OWN: [&str; 6] = [ENDPOINT, CLIENT_ID[0], CLIENT_ID[1], CLIENT_SECRET[0], CLIENT_SECRET[1], SCOPE];

/// Reads the properties one by one, and notes all that is wrong.
pub(super) struct LoginReader<'a> {
    pub properties: Properties<'a>,
    pub faults: Vec<LoginProblem>,
}

impl<'a> LoginReader<'a> {
    pub fn given(&self, name: &str) -> Option<&'a str> {
        self.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn fault(&mut self, property: &'static str, what: impl Into<String>, remedy: impl Into<String>) {
        self.faults.push(LoginProblem { property: property.into(), what: what.into(), remedy: remedy.into() });
    }

    pub fn method(&mut self) -> Option<(LoginMethod, Vec<Extension>)> {
        self.refuse_other_grants();
        let is_unsecured = self.is_unsecured()?;
        match self.given(METHOD).map(str::to_ascii_lowercase).as_deref() {
            Some("oidc" | MSK_IAM) if is_unsecured => {
                self.fault(UNSECURED, "asks for tokens that nobody signs", format!("remove it, or {METHOD}"));
                None
            }
            Some(MSK_IAM) => self.msk_iam().map(|method| (method, vec![])),
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
                self.fault(METHOD, "is no method known here", format!("write \"oidc\" or \"{MSK_IAM}\""));
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
        self.refuse_beside(&[REGION], &format!("\"{MSK_IAM}\""));
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

    #[cfg(feature = "msk-iam")]
    fn msk_iam(&mut self) -> Option<LoginMethod> {
        self.refuse_beside(&[CONFIG], "\"default\"");
        self.refuse_beside(&ENDPOINTS_OWN, "\"oidc\"");
        self.refuse_beside(&AUTHORITIES, "\"oidc\"");
        let region = self.given(REGION);
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if region.is_some_and(|region| region.is_empty() || !region.bytes().all(is_name)) {
            self.fault(REGION, "is no region of AWS", "write one such as \"eu-central-1\"");
        }
        Some(LoginMethod::MskIam { region: region.map(str::to_owned) })
    }

    #[cfg(not(feature = "msk-iam"))]
    fn msk_iam(&mut self) -> Option<LoginMethod> {
        let what = "needs the cargo feature msk-iam, which is not in this build";
        self.fault(METHOD, what, "build the connector with --features msk-iam");
        None
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
        self.refuse_beside(&ENDPOINTS_OWN, "\"oidc\"");
        self.refuse_beside(&AUTHORITIES, "\"oidc\"");
        self.refuse_beside(&[REGION], &format!("\"{MSK_IAM}\""));
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

    pub fn extensions(&mut self, text: &str) -> Vec<Extension> {
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
