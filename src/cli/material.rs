//! `material request`: puts a request on the request topic and waits for its reply.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, Subcommand};

use super::{Failure, blocks, duration, stdout};
use crate::app;
use crate::avro::decode::{Decoded, Decoder};
use crate::avro::framing::Framing;
use crate::avro::material::RequestEncoder;
use crate::avro::schema_registry::SchemaRegistrySettings;
use crate::avro::schemas::RecordKind;
use crate::config::{RequestClientConfig, RequestSettings};
use crate::kafka::client::settings::{RequestTopics, Settings};
use crate::kafka::requests_log::request_client::RequestClient;
use crate::model::material::MaterialRequest;
use crate::model::time::UnixMillis;
use crate::telemetry::log;

/// How much longer than the request's deadline its reply is waited for: that it came too late is a reply too.
const REPLY_GRACE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Subcommand)]
pub enum MaterialCommand {
    /// Ask for a promoter's link, QR code and short link; a running connector carries it out.
    Request(Box<MaterialOptions>),
}

#[derive(Clone, Debug, Args)]
pub struct MaterialOptions {
    /// The appid of the Mini Program.
    #[arg(long, value_name = "APP_ID")]
    pub app: String,
    /// The promoter's openid, or unionid where the app is configured so.
    #[arg(long, value_name = "ID")]
    pub promoter: String,
    /// The page that the material leads to.
    #[arg(long)]
    pub path: String,
    /// At most 20 bytes of UTF-8.
    #[arg(long)]
    pub title: Option<String>,
    /// Comes back as share_extra_info in touches and orders; at most 80 bytes of UTF-8.
    #[arg(long, value_name = "TEXT")]
    pub extra_info: Option<String>,
    /// 0: all kinds, 1: the short link, 2: the path, 3: the QR code.
    #[arg(long, value_name = "NUMBER")]
    pub share_type: Option<i32>,
    /// release, trial or develop.
    #[arg(long, value_name = "VERSION")]
    pub env_version: Option<String>,
    /// Where the QR code is written to.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Draw the QR code on the terminal, in 24-bit colours. An error where stdout is no terminal, before anything is asked.
    #[arg(long, conflicts_with = "json")]
    pub show: bool,
    /// How long to wait; the request expires with it.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s")]
    pub timeout: Duration,
    /// Print the reply as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Puts one request and waits for its reply; what came is shown in any case.
///
/// # Errors
/// [`Failure`] unless the reply says SUCCEEDED and holds all that was asked for.
pub fn run(path: &Path, command: &MaterialCommand) -> Result<(), Failure> {
    let MaterialCommand::Request(options) = command;
    if options.show && !std::io::stdout().is_terminal() {
        return Err(Failure::Refused(
            "--show draws on a terminal, and stdout is none; --out FILE keeps the QR code".into(),
        ));
    }
    let config = RequestClientConfig::load(path, &|name| std::env::var(name).ok())?;
    log::start(&config.log)?;
    let RequestClientConfig { kafka, schema_registry, requests, .. } = config;
    let Some(RequestSettings { topics, .. }) = requests else {
        return Err(Failure::Refused("commands.enabled is false: no connector of this configuration answers".into()));
    };
    let reply = request_reply(&kafka, schema_registry, &topics, options)?;
    let image = image(&reply)?;
    let kept = keep(image.as_deref(), options.out.as_deref());
    let is_kept = kept.as_ref().is_ok_and(|kept| *kept);
    let shown = if options.json {
        serde_json::to_string(&reply).context("the reply")? + "\n"
    } else {
        described(&reply, image.as_deref(), is_kept, options)
    };
    stdout::print(&shown)?;
    succeeded(&reply)?;
    kept?;
    if let Some(missing) = missing(&reply, options) {
        return Err(anyhow!("the reply holds no {missing}").into());
    }
    if let Some(image) = image.filter(|_| options.show) {
        let drawing =
            blocks::draw(&image, columns()).map_err(|error| anyhow!("the QR code can't be shown: {error}"))?;
        stdout::print(&drawing)?;
    }
    Ok(())
}

/// What was asked for by itself, and is not there.
fn missing(reply: &Decoded, options: &MaterialOptions) -> Option<&'static str> {
    let wants_image = options.out.is_some() || options.show;
    let kinds = [("tag", "short link", false), ("share_path", "path", false), ("qrcode", "QR code", wants_image)];
    let is_missing = |(number, (field, _, is_wanted)): &(i32, (&str, &str, bool))| {
        (*is_wanted || options.share_type == Some(*number)) && reply.field(field).is_none_or(serde_json::Value::is_null)
    };
    (1..).zip(kinds).find(is_missing).map(|(_, (_, name, _))| name)
}

/// Whether there is an image and somebody wants it in a file, where it is then.
///
/// # Errors
/// Where the file can't be written.
fn keep(image: Option<&[u8]>, file: Option<&Path>) -> anyhow::Result<bool> {
    let (Some(image), Some(file)) = (image, file) else { return Ok(false) };
    std::fs::write(file, image).with_context(|| format!("{} can't be written", file.display()))?;
    Ok(true)
}

/// # Errors
/// Where the request was not carried out: its status and the reason, as the reply has them.
fn succeeded(reply: &Decoded) -> anyhow::Result<()> {
    let status = reply.text("status").unwrap_or("UNKNOWN");
    anyhow::ensure!(status == "SUCCEEDED", "{status}: {}", reply.text("errmsg").unwrap_or("no reason given"));
    Ok(())
}

/// Puts a request, and waits for the reply to it.
///
/// # Errors
/// Where the schema registry or the brokers can't be asked in time, the request is not taken, or no reply to it has come by then.
fn request_reply(
    kafka: &Settings,
    schema_registry: Option<SchemaRegistrySettings>,
    topics: &RequestTopics,
    options: &MaterialOptions,
) -> anyhow::Result<Decoded> {
    let until = Instant::now() + options.timeout;
    let framings =
        async { tokio::time::timeout_at(until.into(), app::material_framings(schema_registry, topics)).await };
    let framings = super::runtime()?.block_on(framings).context("the schema registry gives no answer")??;
    let result_id = match framings.result {
        Framing::Confluent { schema_id } => Some((schema_id, RecordKind::MaterialResult)),
        Framing::SingleObject => None,
    };
    let decoder = Decoder::new(result_id);
    // Before the request is put, so that its reply can't come unseen.
    let client = RequestClient::open(kafka, topics, until)?;
    let request = request(options, until);
    let mut value = Vec::new();
    RequestEncoder::new(framings.request).encode(&request, &mut value)?;
    client.put(&format!("{}/{}", options.app, options.promoter), &value, until)?;
    while let Some(reply) = client.next_reply(until + REPLY_GRACE)? {
        // Others ask too, and their replies need not be readable here.
        let Ok(reply) = decoder.decode(&reply) else { continue };
        if reply.text("request_id") == Some(&request.request_id) {
            return Ok(reply);
        }
    }
    bail!("no reply came to {} within {:?}; does a connector run?", topics.results, options.timeout)
}

fn request(options: &MaterialOptions, until: Instant) -> MaterialRequest {
    let left = until.saturating_duration_since(Instant::now());
    let deadline = crate::clock::now().plus(left).0;
    MaterialRequest {
        request_id: format!("{:032x}", rand::random::<u128>()),
        app_id: options.app.clone(),
        promoter_openid: options.promoter.clone(),
        path: options.path.clone(),
        extra_info: options.extra_info.clone(),
        title: options.title.clone(),
        env_version: options.env_version.clone(),
        share_type: options.share_type,
        deadline: Some(UnixMillis(deadline)),
    }
}

/// The image in the reply, if there is one.
///
/// # Errors
/// Where what stands there is no base64.
fn image(reply: &Decoded) -> anyhow::Result<Option<Vec<u8>>> {
    // An image is never UTF-8, so it is shown as base64.
    let text = reply.field("qrcode").and_then(|qrcode| qrcode["base64"].as_str());
    text.map(|text| BASE64_STANDARD.decode(text).context("the reply's qrcode")).transpose()
}

/// How wide the terminal is.
fn columns() -> u16 {
    // Some tell no size.
    terminal_size::terminal_size_of(std::io::stdout()).map_or(80, |(width, _)| width.0)
}

fn described(reply: &Decoded, image: Option<&[u8]>, is_kept: bool, options: &MaterialOptions) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        text += &format!("{name:<12}{value}\n");
    };
    for (name, field) in [("short link", "tag"), ("path", "share_path"), ("expires", "expires_at")] {
        if let Some(value) = reply.text(field) {
            line(name, value);
        }
    }
    if let Some(image) = image {
        let kind = reply.text("qrcode_type").unwrap_or("an image");
        let place = match &options.out {
            Some(out) if is_kept => format!(", in {}", out.display()),
            // Nothing that was received is lost.
            Some(_) => format!(", in base64: {}", BASE64_STANDARD.encode(image)),
            None if options.show => String::new(),
            None => ", kept with --out FILE, drawn with --show".to_owned(),
        };
        line("QR code", &format!("{kind}, {} bytes{place}", image.len()));
    }
    text
}
