//! What a secured broker is made of: an authority of its own, keys and certificates, users and listeners. Everything lies
//! in the broker's directory and goes with it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod};
use openssl::symm::Cipher;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};

/// The user that each way in is for, as the broker's rules name it.
pub const PLAIN_USER: &str = "User:plain";
pub const SCRAM_USER: &str = "User:scram";
pub const MTLS_USER: &str = "User:CN=client";
pub const TOKEN_USER: &str = "User:token";
pub const UNSECURED_TOKEN_USER: &str = "User:unsecured";
/// What tokens have to be made for.
pub const AUDIENCE: &str = "kafka";
/// Of all users and keys. A space and an equals sign must survive the way through every layer.
pub const PASSWORD: &str = "p w=1";
const VALID_DAYS: u32 = 2;

/// A secured broker's ports and files.
pub struct Security {
    /// SASL without TLS, with PLAIN and SCRAM-SHA-512.
    pub sasl: u16,
    /// The same over TLS.
    pub sasl_ssl: u16,
    /// TLS that asks for the client's certificate.
    pub ssl: u16,
    /// OAUTHBEARER without TLS, with tokens that are signed.
    pub tokens: u16,
    /// The same with tokens that nobody signs.
    pub unsecured_tokens: u16,
    signing_key: PKey<Private>,
    directory: PathBuf,
}

impl Security {
    /// Makes keys and certificates in `directory`.
    pub fn prepare(directory: &Path, ports: [u16; 5]) -> Result<Security> {
        let [sasl, sasl_ssl, ssl, tokens, unsecured_tokens] = ports;
        let signing_key = PKey::from_rsa(Rsa::generate(2048)?)?;
        let directory = directory.to_owned();
        let security = Security { sasl, sasl_ssl, ssl, tokens, unsecured_tokens, signing_key, directory };
        let authority = Identity::authority("authority")?;
        let broker = authority.issue("broker")?;
        let client = authority.issue("client")?;
        security.write("ca.pem", &authority.certificate.to_pem()?)?;
        security.write("other-ca.pem", &Identity::authority("other")?.certificate.to_pem()?)?;
        let chain = [broker.key.private_key_to_pem_pkcs8()?, broker.certificate.to_pem()?].concat();
        security.write("broker.pem", &chain)?;
        security.write("client.pem", &client.certificate.to_pem()?)?;
        let encrypted = client.key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), PASSWORD.as_bytes())?;
        security.write("client.key", &encrypted)?;
        let endpoint = authority.issue("endpoint")?;
        security.write("endpoint.key", &endpoint.key.private_key_to_pem_pkcs8()?)?;
        security.write("endpoint.pem", &endpoint.certificate.to_pem()?)?;
        security.write("jwks.json", security.key_set()?.as_bytes())?;
        let store = Pkcs12::builder().name("client").pkey(&client.key).cert(&client.certificate).build2(PASSWORD)?;
        security.write("client.p12", &store.to_der()?)?;
        Ok(security)
    }

    /// The path of `ca.pem`, `other-ca.pem`, `client.pem`, `client.key` or `client.p12`; the last two have the password.
    pub fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// The public keys of the tokens' issuer, as brokers read them (RFC 7517).
    fn key_set(&self) -> Result<String> {
        let key = self.signing_key.rsa()?;
        let [n, e] = [key.n(), key.e()].map(|number| BASE64_URL_SAFE_NO_PAD.encode(number.to_vec()));
        let key = serde_json::json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one", "n": n, "e": e });
        Ok(serde_json::json!({ "keys": [key] }).to_string())
    }

    /// What tokens are signed with by RS256, under the name "one".
    pub fn signing_key(&self) -> &PKey<Private> {
        &self.signing_key
    }

    /// TLS for an https endpoint on this machine, under the authority of `ca.pem`.
    pub fn endpoint_tls(&self) -> Result<SslAcceptor> {
        let mut tls = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        tls.set_private_key_file(self.directory.join("endpoint.key"), SslFiletype::PEM)?;
        tls.set_certificate_file(self.directory.join("endpoint.pem"), SslFiletype::PEM)?;
        Ok(tls.build())
    }

    /// What the broker's Java has to be told beside its properties: which files it may read keys from.
    pub fn java_options(&self) -> String {
        format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={}", self.key_set_url())
    }

    fn key_set_url(&self) -> String {
        format!("file://{}", self.file("jwks.json"))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        fs::write(self.directory.join(name), bytes).with_context(|| format!("{name} can't be written"))
    }

    /// The broker's properties beside those of an open one on `port`, whose users may do anything: so the harness needs
    /// no credentials.
    pub fn server_properties(&self, port: u16, controller_port: u16) -> String {
        let Security { sasl, sasl_ssl, ssl, tokens, unsecured_tokens, .. } = self;
        let (keys, authority) = (self.file("broker.pem"), self.file("ca.pem"));
        let open = format!("PLAINTEXT://127.0.0.1:{port}");
        let secured = format!(
            "SASL://127.0.0.1:{sasl},SASL_SSL://127.0.0.1:{sasl_ssl},SSL://127.0.0.1:{ssl},\
             TOKENS://127.0.0.1:{tokens},UNSECURED://127.0.0.1:{unsecured_tokens}"
        );
        let mut text = format!(
            "\
listeners={open},{secured},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners={open},{secured}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,TOKENS:SASL_PLAINTEXT,UNSECURED:SASL_PLAINTEXT
inter.broker.listener.name=PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location={keys}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
listener.name.ssl.ssl.client.auth=required
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"
        );
        for listener in ["sasl", "sasl_ssl"] {
            let name = format!("listener.name.{listener}");
            let security = "org.apache.kafka.common.security";
            text += &format!(
                "\
{name}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
{name}.plain.sasl.jaas.config={security}.plain.PlainLoginModule required user_plain=\"{PASSWORD}\";
{name}.scram-sha-512.sasl.jaas.config={security}.scram.ScramLoginModule required;
"
            );
        }
        for listener in ["tokens", "unsecured"] {
            let name = format!("listener.name.{listener}");
            let module = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";
            // A session lasts no longer than its token: it ends, unless the client proves anew who it is.
            text += &format!(
                "\
{name}.sasl.enabled.mechanisms=OAUTHBEARER
{name}.oauthbearer.sasl.jaas.config={module} required;
{name}.oauthbearer.connections.max.reauth.ms=3600000
"
            );
        }
        let (name, keys) = ("listener.name.tokens", self.key_set_url());
        let validator = "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler";
        text + &format!(
            "\
{name}.oauthbearer.sasl.server.callback.handler.class={validator}
{name}.sasl.oauthbearer.jwks.endpoint.url={keys}
{name}.sasl.oauthbearer.expected.audience={AUDIENCE}
{name}.sasl.oauthbearer.clock.skew.seconds=0
"
        )
    }

    /// What the broker's directory is formatted with, so that it knows the user of SCRAM.
    pub fn format_arguments() -> [String; 2] {
        ["--add-scram".to_owned(), format!("SCRAM-SHA-512=[name=scram,password={PASSWORD}]")]
    }
}

/// A key with its certificate.
struct Identity {
    key: PKey<Private>,
    certificate: X509,
}

impl Identity {
    fn authority(name: &str) -> Result<Identity> {
        Identity::make(name, None)
    }

    /// For a broker on this machine, or for a client.
    fn issue(&self, name: &str) -> Result<Identity> {
        Identity::make(name, Some(self))
    }

    fn make(name: &str, issuer: Option<&Identity>) -> Result<Identity> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
        let mut subject = X509NameBuilder::new()?;
        subject.append_entry_by_text("CN", name)?;
        let subject = subject.build();
        let mut serial = BigNum::new()?;
        serial.rand(120, MsbOption::MAYBE_ZERO, false)?;
        let (not_before, not_after) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(VALID_DAYS)?);
        let serial = serial.to_asn1_integer()?;
        let mut certificate = X509::builder()?;
        certificate.set_version(2)?;
        certificate.set_serial_number(&serial)?;
        certificate.set_subject_name(&subject)?;
        certificate.set_pubkey(&key)?;
        certificate.set_not_before(&not_before)?;
        certificate.set_not_after(&not_after)?;
        match issuer {
            Some(issuer) => {
                certificate.set_issuer_name(issuer.certificate.subject_name())?;
                let context = certificate.x509v3_context(Some(&issuer.certificate), None);
                let names = SubjectAlternativeName::new().dns("localhost").ip("127.0.0.1").build(&context)?;
                certificate.append_extension(names)?;
                certificate.sign(&issuer.key, MessageDigest::sha256())?;
            }
            None => {
                certificate.set_issuer_name(&subject)?;
                certificate.append_extension(BasicConstraints::new().critical().ca().build()?)?;
                certificate.sign(&key, MessageDigest::sha256())?;
            }
        }
        Ok(Identity { certificate: certificate.build(), key })
    }
}
