//! No secret is ever shown.

use secrecy::ExposeSecret;

use super::*;
use crate::upstream::token::TokenSource;

const PLANTED: &str = "Pl4nted";

/// Every key that takes a secret, holding the planted one.
const SECRETS_EVERYWHERE: &str = r#"
[kafka]
"bootstrap.servers" = "localhost:9092"
"sasl.password" = "Pl4nted"
"ssl.key.pem" = "Pl4nted"
"ssl.keystore.password" = "Pl4nted"
"ssl.key.password" = "Pl4nted"
"sasl.oauthbearer.config" = "Pl4nted"
[schema_registry]
url = "http://localhost:8081"
username = "u"
password = "Pl4nted"
[records]
user_ids = "hmac-sha256"
user_ids_key = "0123456789 Pl4nted"
[admin]
token = "${PLANTED}"
[[apps]]
app_id = "wx1"
secret = "${PLANTED}"
[[apps]]
app_id = "wx2"
secret_file = "secret"
token = { source = "classic" }
[[apps]]
app_id = "wx3"
token = { source = "url", url = "http://h?key=Pl4nted", headers = { Authorization = "Bearer ${PLANTED}" } }
[[apps]]
app_id = "wx4"
token = { source = "url", url_file = "url", headers = { Authorization_file = "secret", x = "Pl4nted" } }
"#;

fn planted_environment(name: &str) -> Option<String> {
    (name == "PLANTED").then(|| PLANTED.to_owned())
}

fn load_planted(text: &str) -> Result<Config, ConfigError> {
    let files = Files::with(&[("secret", PLANTED), ("url", "http://h/?key=Pl4nted\n"), ("connector.toml", text)]);
    Config::load(&files.directory.path().join("connector.toml"), &planted_environment)
}

#[test]
fn no_secret_is_shown_by_a_configuration() {
    let config = load_planted(SECRETS_EVERYWHERE).unwrap();
    assert!(!format!("{config:?} {config:#?}").contains(PLANTED));
    let token_source = &config.apps[1].client.token_source;
    let TokenSource::Classic(secret) = token_source else { panic!("{token_source:?}") };
    assert_eq!(secret.latest().expose_secret(), PLANTED);
    let token_source = &config.apps[3].client.token_source;
    let TokenSource::Url(address) = token_source else { panic!("{token_source:?}") };
    assert_eq!(address.url.expose_secret(), "http://h/?key=Pl4nted");
    let headers: Vec<_> = address.headers.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
    assert_eq!(headers, [("Authorization", PLANTED), ("x", PLANTED)]);
}

#[test]
fn the_secret_of_a_login_by_tokens_is_shown_by_nothing() {
    let login = r#"
[kafka]
"security.protocol" = "sasl_plaintext"
"sasl.mechanisms" = "OAUTHBEARER"
"sasl.oauthbearer.method" = "oidc"
"sasl.oauthbearer.token.endpoint.url" = "https://issuer/token"
"sasl.oauthbearer.client.id" = "connector"
"sasl.oauthbearer.client.secret_file" = "secret"
"#;
    let text =
        SECRETS_EVERYWHERE.replace("\"sasl.oauthbearer.config\" = \"Pl4nted\"\n", "").replace("\n[kafka]\n", login);
    let kafka = load_planted(&text).unwrap().kafka;
    assert!(!format!("{kafka:?}").contains(PLANTED));
    assert!(kafka.credentials.is_some());
    assert!(kafka.properties.iter().all(|(name, _)| !name.contains("oauthbearer")));
    let misplaced = [
        ("https://issuer/token", "https://u:Pl4nted@issuer"),
        ("= \"oidc\"", "= \"Pl4nted\""),
        ("\"connector\"", "\":Pl4nted\"\n\"https.ca.pem\" = \"Pl4nted\"\n\"https.ca.location\" = \"Pl4nted\""),
        ("_file\" = \"secret\"", "\" = \"Pl4nted\"\n\"sasl.oauthbearer.extensions\" = \"Pl4nted\""),
    ];
    let look = |(right, wrong): &(&str, &str)| {
        assert!(text.contains(right), "{right}");
        let error = load_planted(&text.replacen(right, wrong, 1)).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(PLANTED), "{wrong}: {error}");
    };
    std::thread::scope(|scope| misplaced.iter().for_each(|pair| drop(scope.spawn(|| look(pair)))));
}

#[test]
fn no_secret_is_shown_by_problems_wherever_it_was_written() {
    let misplaced = [
        "[feeds.touches]\nevery = \"Pl4nted\"\nenabled = \"Pl4nted\"\nstart_from = \"Pl4nted\"\n",
        "[http]\nin_flight = \"Pl4nted\"\nresponse_max = \"${PLANTED}\"\n",
        "[connector]\nname = \"Pl4nted ${PLANTED}\"\ninstance_id = \"Pl4nted ${NONE}\"\n",
        "[topics]\nprefix = \"Pl4nted!\"\nretention = \"Pl4nted\"\n",
        "[log]\nlevel = \"Pl4nted\"\nformat = \"Pl4nted\"\n",
        "[commands]\nreply_topics = [\"Pl4nted!\"]\n",
        "[[apps]]\n[apps.token]\nsource = \"url\"\nurl = \"http://u:Pl4nted@h\"\n",
        "[[apps]]\n[apps.token]\nsource = \"url\"\nurl_file = \"secret\"\nheaders = { x_file = \"Pl4nted\" }\n",
        "[[apps]]\n[apps.token]\nsource = \"url\"\nurl = \"ftp://Pl4nted\"\nheaders = { x = \"Pl4nted\\n\" }\n",
        "base_url = \"http://h?access_token=Pl4nted\"\nspare_urls = [\"Pl4nted\"]\n",
        "promoters = [\"a/Pl4nted\", \"Pl4nted\", \"Pl4nted\"]\npromoters_file = \"Pl4nted\"\n",
        "unterminated = \"Pl4nted\n",
        "unquoted = Pl4nted\n",
        "number = 1Pl4nted\n",
        "escape = \"\\Pl4nted\"\n",
        "[table Pl4nted]\n",
    ];
    let twice = SECRETS_EVERYWHERE
        .replace("secret_file = \"secret\"", "secret_file = \"Pl4nted\"\nsecret = \"Pl4nted\"")
        .replace("\"hmac-sha256\"", "\"Pl4nted\"")
        // It belongs to a login that is not asked for.
        .replace("[schema_registry]", "\"sasl.oauthbearer.client.secret\" = \"Pl4nted\"\n[schema_registry]")
        .replace("password = \"Pl4nted\"\n[admin]", "password = \"Pl4nted\"\npassword_file = \"Pl4nted\"\n[admin]");
    let look = |more: &str| {
        let error = load_planted(&format!("{twice}{more}")).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(PLANTED), "{more}: {shown}");
    };
    // librdkafka checks the properties, which takes its time and no processor.
    std::thread::scope(|scope| misplaced.iter().for_each(|more| drop(scope.spawn(|| look(more)))));
}
