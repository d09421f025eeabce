//! What a right file means.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::*;
use crate::model::feed::{Feed, StartFrom};
use crate::model::promoter::IdKind;
use crate::model::time::UnixTime;
use crate::upstream::token::{TokenSource, TokenUrl};

/// The promoter of a right file with `more` at its end.
fn promoter_of(more: &str) -> PolledPromoter {
    promoters_of(&load(&with(&format!("promoters = [\"oA\"]\n{more}"))).unwrap().apps[0]).remove(0)
}

#[test]
fn refunds_begin_where_orders_do_unless_told_otherwise() {
    let starts = |more: &str| {
        let promoter = promoter_of(more);
        let start = |feed: Feed| plan(&promoter, feed).unwrap().start_from;
        (start(Feed::Orders), start(Feed::Refunds))
    };
    let time = StartFrom::At(UnixTime(1_668_614_400));
    assert_eq!(starts(""), (StartFrom::Now, StartFrom::Now));
    assert_eq!(starts("[feeds.orders]\nstart_from = 2022-11-17T00:00:00+08:00\n"), (time, time));
    assert_eq!(
        starts("[feeds.orders]\nstart_from = \"earliest\"\n[feeds.refunds]\nstart_from = \"now\"\n"),
        (StartFrom::Earliest, StartFrom::Now)
    );
    assert_eq!(
        starts("[apps.feeds.orders]\nstart_from = \"earliest\"\n[feeds.orders]\nstart_from = \"now\"\n"),
        (StartFrom::Earliest, StartFrom::Earliest)
    );
    assert_eq!(
        starts("[apps.feeds.orders]\nstart_from = \"earliest\"\n[feeds.refunds]\nstart_from = \"now\"\n"),
        (StartFrom::Earliest, StartFrom::Now)
    );
}

#[test]
fn an_apps_feeds_win_over_those_of_all() {
    let more = "[apps.feeds.touches]\nevery = \"5m\"\n[apps.feeds.refunds]\nenabled = false\n\
                [feeds.touches]\nevery = \"2m\"\nlateness = \"1h\"\n";
    let promoter = promoter_of(more);
    let touches = plan(&promoter, Feed::Touches).unwrap().settings;
    assert_eq!((touches.every, touches.lateness), (Duration::from_secs(300), 3600));
    assert_eq!(polled(&promoter), [Feed::Touches, Feed::Orders]);
}

#[test]
fn refunds_that_are_not_polled_are_remembered_as_they_would_be() {
    let promoter = promoter_of("[feeds.refunds]\nenabled = false\nlateness = \"1500ms\"\nstart_from = \"earliest\"\n");
    // Rounded up: a lateness is never cut short.
    assert_eq!((promoter.refunds_lateness, promoter.refunds_start), (2, StartFrom::Earliest));
    assert_eq!(polled(&promoter), [Feed::Touches, Feed::Orders]);
}

#[test]
fn the_promoters_of_both_sources_are_merged() {
    let files = Files::with(&[("p.csv", "promoter,feeds\noB,touches;refunds\noA,\n")]);
    let more = "promoters = [\"oA\"]\npromoters_file = \"p.csv\"\n[apps.feeds.refunds]\nenabled = false\n";
    assert_eq!(
        problems_of(files.load(&with(more))),
        ["apps[0].promoters_file (line 7) in its line 3 is the same promoter as promoters[0]; remove one of them"]
    );
    let app = files.load(&with(&more.replace("oA", "oC"))).unwrap().apps.remove(0);
    let entries: Vec<(String, Vec<Feed>)> =
        promoters_of(&app).iter().map(|entry| (entry.promoter.key().to_owned(), polled(entry))).collect();
    let both = || vec![Feed::Touches, Feed::Orders];
    assert_eq!(entries, [("wx1/oC".into(), both()), ("wx1/oB".into(), vec![Feed::Touches]), ("wx1/oA".into(), both())]);
}

#[test]
fn kafka_properties_pass_through_as_text() {
    let text = format!(
        "[kafka]\n\"bootstrap.servers\" = \"${{SERVERS}}\"\nsecurity.protocol = \"SSL\"\nsocket.keepalive.enable = true\n\
         \"linger.ms\" = 5\n{APP}"
    );
    let properties = load(&text).unwrap().kafka.properties;
    let property = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        properties,
        [
            property("bootstrap.servers", "k1:9092,k2:9092"),
            property("security.protocol", "SSL"),
            property("socket.keepalive.enable", "true"),
            property("linger.ms", "5"),
        ]
    );
}

#[test]
fn brokers_may_be_written_without_quotes_or_by_their_older_name_but_once() {
    assert!(load(&format!("[kafka]\nbootstrap.servers = \"h:1\"\n{APP}")).is_ok());
    assert!(load(&format!("[kafka]\n\"metadata.broker.list\" = \"h:1\"\n{APP}")).is_ok());
    assert_eq!(
        problems(&format!("[kafka]\nbootstrap.servers = \"h:1\"\n\"metadata.broker.list\" = \"h:1\"\n{APP}")),
        ["kafka.metadata.broker.list (line 3) is given twice; remove one of them"]
    );
    assert_eq!(
        problems(&format!("[kafka]\nbootstrap.x = \"h:1\"\n{APP}")),
        [
            "kafka.bootstrap.servers (line 1) is missing; write \"bootstrap.servers\" = \"host:9092\"",
            "kafka.bootstrap.x (line 2) is refused by librdkafka: \
             No such configuration property: \"bootstrap.x\"; correct it, or remove it",
        ]
    );
}

#[test]
fn urls_lose_their_trailing_slash() {
    let more = "base_url = \"http://127.0.0.1:8090/\"\nspare_urls = [\"https://h/x/\"]\nid_kind = \"unionid\"\n\
                [schema_registry]\nurl = [\"http://a:1/apis/ccompat/v7/\", \"http://b:1\"]\n";
    let config = load(&with(more)).unwrap();
    let client = &config.apps[0].client;
    assert_eq!(client.base_url, "http://127.0.0.1:8090");
    assert_eq!(client.spare_urls, ["https://h/x"]);
    assert_eq!(client.id_kind, IdKind::UnionId);
    assert_eq!(registry_urls(&config), ["http://a:1/apis/ccompat/v7", "http://b:1/"]);
}

#[test]
fn a_token_from_elsewhere_needs_no_secret() {
    let text = |token: &str| format!("{KAFKA}[[apps]]\napp_id = \"wx1\"\ntoken = {token}\n");
    let files = Files::with(&[]);
    let token =
        files.load(&text("{ source = \"file\", path = \"token\" }")).unwrap().apps.remove(0).client.token_source;
    let TokenSource::File(path) = token else { panic!("{token:?}") };
    assert_eq!(path, files.directory.path().join("token"));
    assert_eq!(problems(&text("{ source = \"classic\" }")).len(), 1);
}

#[test]
fn a_token_server_is_asked_with_its_query_and_headers() {
    let text = |token: &str| format!("{KAFKA}[[apps]]\napp_id = \"wx1\"\ntoken = {token}\n");
    let url = "source = \"url\", url = \"http://h/token?app=wx1\"";
    let headers = "headers = { Authorization = \"Bearer k\", x-team = \"a\" }";
    let token = load(&text(&format!("{{ {url}, {headers} }}"))).unwrap().apps.remove(0).client.token_source;
    let TokenSource::Url(TokenUrl { url: address, headers }) = token else { panic!("{token:?}") };
    assert_eq!(address.expose_secret(), "http://h/token?app=wx1");
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
    assert_eq!(headers, [("Authorization", "Bearer k"), ("x-team", "a")]);
    assert_eq!(
        problems(&text(&format!("{{ {url}, headers = {{ Host = \"h\", \"a b\" = \"c\", x = \"中\", y = 7 }} }}")))
            .len(),
        4
    );
    assert_eq!(problems(&text("{ source = \"file\", path = \"t\", headers = { x = \"a\" } }")).len(), 1);
}

#[test]
fn one_answer_fits_into_what_is_buffered() {
    let http = |text: &str| load(&with(&format!("[http]\n{text}\n")));
    assert_eq!(http("buffered_max = \"16MiB\"").unwrap().http.buffered_max, 16 << 20);
    assert_eq!(http("").unwrap().http.buffered_max, 128 << 20);
    assert_eq!(
        problems(&with("[http]\nresponse_max = \"2MiB\"\nbuffered_max = \"1MiB\"\n")),
        ["http.buffered_max (line 8) is less than one answer may have (http.response_max); \
          make it as large at least, or http.response_max smaller"]
    );
}

#[test]
fn a_secret_is_given_once() {
    let files = Files::with(&[("s", "x")]);
    assert_eq!(
        problems_of(files.load(&with("secret_file = \"s\"\n"))),
        ["apps[0].secret (line 5) is given twice, here and as secret_file; remove one of them"]
    );
    let text = format!("{KAFKA}[[apps]]\napp_id = \"wx1\"\nsecret_file = \"s\"\n");
    assert_eq!(
        problems_of(Files::with(&[("s", "one\ntwo\n")]).load(&text)),
        ["apps[0].secret_file (line 5) names a file of several lines; leave nothing in it but the secret, on one line"]
    );
    for file in ["s3cr3t", "\u{feff}s3cr3t\n", "s3cr3t\r\n", "s3cr3t\n\n"] {
        let token = Files::with(&[("s", file)]).load(&text).unwrap().apps.remove(0).client.token_source;
        let TokenSource::Stable(secret) = token else { panic!("{token:?}") };
        assert_eq!(secret.latest().expose_secret(), "s3cr3t", "{file:?}");
    }
    let empty = Files::with(&[("s", "\n")]);
    assert_eq!(
        problems_of(empty.load(&text)),
        ["apps[0].secret_file (line 5) names a file that is empty; put the secret there"]
    );
}

#[test]
fn a_file_may_begin_with_a_byte_order_mark() {
    assert!(load(&format!("\u{feff}{}", with(""))).is_ok());
}

#[test]
fn a_key_in_pem_keeps_its_lines() {
    let pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
    let files = Files::with(&[("key.pem", &format!("{pem}\n"))]);
    let text = with("").replacen("[kafka]\n", "[kafka]\n\"ssl.key.pem_file\" = \"key.pem\"\n", 1);
    let properties = files.load(&text).unwrap().kafka.properties;
    assert!(properties.contains(&("ssl.key.pem".to_owned(), pem.to_owned())));
}
