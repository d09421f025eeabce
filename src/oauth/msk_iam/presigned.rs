//! The URL that is signed, and how long it is good for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::SecretString;
use url::Url;

use super::AwsFault;

/// The service and the action that policies of IAM name.
const SERVICE: &str = "kafka-cluster";
const ACTION: (&str, &str) = ("Action", "kafka-cluster:Connect");
/// The longest that MSK takes.
const LIFE: Duration = Duration::from_secs(15 * 60);
/// Added unsigned, as Amazon's libraries do: it shows up in MSK's own records.
const USER_AGENT: (&str, &str) = ("User-Agent", concat!("promoter-connector/", env!("CARGO_PKG_VERSION")));

#[derive(Debug)]
pub(super) struct Presigned {
    pub text: SecretString,
    pub life: Duration,
}

/// A token that is signed at `now`. It ends with its credentials, where those end sooner.
///
/// # Errors
/// [`AwsFault::Expired`], and [`AwsFault::Unsigned`] where the region makes no URL.
pub(super) fn token(region: &str, credentials: &Credentials, now: SystemTime) -> Result<Presigned, AwsFault> {
    // The signature knows whole seconds alone, and the life begins with them.
    let signed_at = UNIX_EPOCH + Duration::from_secs(now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    let ends = credentials.expiry().map_or(signed_at + LIFE, |expiry| expiry.min(signed_at + LIFE));
    let life = ends.duration_since(now).ok().filter(|life| !life.is_zero()).ok_or(AwsFault::Expired)?;
    let url = signed_url(region, credentials, signed_at).map_err(|what| AwsFault::Unsigned(what.to_string()))?;
    Ok(Presigned { text: BASE64_URL_SAFE_NO_PAD.encode(url.as_str()).into(), life })
}

/// # Errors
/// Those of the parts: nothing of them holds a secret.
fn signed_url(
    region: &str,
    credentials: &Credentials,
    time: SystemTime,
) -> Result<Url, Box<dyn std::error::Error + Send + Sync>> {
    let mut url = Url::parse(&format!("https://kafka.{region}.amazonaws.com/"))?;
    url.query_pairs_mut().append_pair(ACTION.0, ACTION.1);
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(LIFE);
    let identity = credentials.clone().into();
    let parameters = SigningParams::builder().identity(&identity).region(region).name(SERVICE).time(time);
    let parameters = parameters.settings(settings).build()?.into();
    let request = SignableRequest::new("GET", url.as_str(), std::iter::empty(), SignableBody::empty())?;
    let (signed, _) = sign(request, &parameters)?.into_parts();
    let mut query = url.query_pairs_mut();
    query.extend_pairs(signed.params()).append_pair(USER_AGENT.0, USER_AGENT.1);
    drop(query);
    Ok(url)
}
