//! One app that can't be asked for anything, and another one that can.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use promoter_connector::avro::decode::Decoder;

use super::json_requester::JsonRequester;
use super::{config, prepare_with};
use crate::broker::world::{BOUND, TAKEN};
use crate::harness::consumer::{Record, read_until};
use crate::harness::context::Context;

/// More than have room in memory, of each of two.
const MANY: usize = 1100;
const FEW: usize = 30;
/// How long the few may take though so many wait.
const SOON: Duration = Duration::from_secs(20);

pub fn one_app_holds_up_no_other(context: &Context) -> Result<()> {
    let simulator = prepare_with(context, "10ms", &["--app", "wx_simulated", "--app", "wx_wrong"])?;
    // One secret is wrong, and one host accepts connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let (url, silent_url) = (simulator.url(), format!("http://{}", silent.local_addr()?));
    let app = |id: &str, url: &str, secret: &str| {
        format!(r#"{{ app_id = "{id}", secret = "{secret}", base_url = "{url}", promoters = [] }},"#)
    };
    let more = app("wx_wrong", url, "wrong") + &app("wx_silent", &silent_url, "any");
    let one = config(context, "one", &simulator, "").replace("apps = [", &format!("apps = [{more}"));
    let connector = context.connector("one", &one, &[])?;
    connector.wait_logged(TAKEN, 1, BOUND)?;
    let requester = JsonRequester::open(context)?;
    for number in 0..MANY {
        for app in ["wx_wrong", "wx_silent"] {
            requester.put(&request(app, &format!("{app}-{number}"), None), None)?;
        }
    }
    requester.flush()?;
    let began = Instant::now();
    for number in 0..FEW {
        requester.put(&request("wx_simulated", &format!("few-{number}"), None), None)?;
        requester.put(&request("wx_wrong", &format!("overdue-{number}"), Some(3)), None)?;
    }
    requester.flush()?;
    let results = context.topics().name("material.results");
    let few = |seen: &[Record]| seen.iter().filter(|reply| id(reply).is_some_and(|id| id.starts_with("few-"))).count();
    read_until(context.bootstrap(), &[&results], SOON, |seen| few(seen) >= FEW)?;
    ensure!(began.elapsed() < SOON, "{:?}", began.elapsed());
    // What has a deadline is told so though it waits unread.
    let overdue = |seen: &[Record]| seen.iter().filter(|reply| is_expired(reply)).count();
    read_until(context.bootstrap(), &[&results], BOUND, |seen| overdue(seen) >= FEW)?;
    connector.must_run()?;
    ensure!(connector.terminate()?.success(), "it ends in order");

    // The secret is mended: what has waited is answered, and nothing twice.
    let mended = one.replace("secret = \"wrong\"", "secret = \"simulated-secret\"");
    let connector = context.connector("one", &mended, &[])?;
    let of_mended =
        |seen: &[Record]| seen.iter().filter(|reply| id(reply).is_some_and(|id| id.starts_with("wx_wrong-"))).count();
    let seen = read_until(context.bootstrap(), &[&results], 2 * BOUND, |seen| of_mended(seen) >= MANY)?;
    connector.must_run()?;
    let mut ids: Vec<String> = seen.iter().filter_map(id).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    ensure!(ids.len() == count, "each request has one reply: {} of {count}", ids.len());
    Ok(())
}

fn id(reply: &Record) -> Option<String> {
    Some(Decoder::new([]).decode(reply.value.as_deref()?).ok()?.text("request_id")?.to_owned())
}

fn is_expired(reply: &Record) -> bool {
    let reply = reply.value.as_deref().and_then(|value| Decoder::new([]).decode(value).ok());
    reply.is_some_and(|reply| {
        reply.text("status") == Some("EXPIRED") && reply.text("request_id").is_some_and(|id| id.starts_with("overdue-"))
    })
}

fn request(app: &str, id: &str, seconds: Option<i64>) -> String {
    let deadline = seconds.map(|seconds| jiff::Timestamp::now().as_millisecond() + 1000 * seconds);
    let request = serde_json::json!({
        "request_id": id, "app_id": app, "promoter_openid": "oSimulated000001", "path": "pages/index",
        "share_type": 1, "deadline": deadline,
    });
    request.to_string()
}
