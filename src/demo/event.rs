//! A decoded record in the words of the demo.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use jiff::civil::DateTime;
use serde_json::Value;

use crate::avro::decode::Decoded;
use crate::avro::schemas::RecordKind;

/// What is cut from upstream texts: a line should stay a line.
const TEXT_CHARS_MAX: usize = 48;

/// What kind of thing happened, in the order of the totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Touch,
    Paid,
    Refunded,
    /// An order in a status that is not documented.
    Unknown,
    DeadLetter,
    /// A reply to a request for material.
    Material,
    /// What the ledger tells of a day.
    LedgerDay,
}

impl Kind {
    /// Those that the upstream shows.
    pub const FACTS: [Kind; 5] = [Kind::Touch, Kind::Paid, Kind::Refunded, Kind::Unknown, Kind::DeadLetter];

    /// Many of them.
    pub fn plural(self) -> &'static str {
        match self {
            Kind::Touch => "touches",
            Kind::Paid => "payments",
            Kind::Refunded => "refunds",
            Kind::Unknown => "of unknown status",
            Kind::DeadLetter => "dead letters",
            Kind::Material => "replies",
            Kind::LedgerDay => "days",
        }
    }

    /// Of a terminal.
    pub fn colour(self) -> &'static str {
        match self {
            Kind::Touch => "36",
            Kind::Paid => "32",
            Kind::Refunded => "33",
            Kind::Unknown => "35",
            Kind::DeadLetter => "31",
            Kind::Material | Kind::LedgerDay => "34",
        }
    }

    pub fn of(event: &Decoded) -> Kind {
        match (event.record, event.text("status")) {
            (RecordKind::Touch, _) => Kind::Touch,
            (RecordKind::Order, Some("PAID")) => Kind::Paid,
            (RecordKind::Order, Some("REFUNDED")) => Kind::Refunded,
            (RecordKind::Order, _) => Kind::Unknown,
            (RecordKind::MaterialResult, _) => Kind::Material,
            (RecordKind::LedgerDay, _) => Kind::LedgerDay,
            // Neither requests nor promoters are shown.
            (RecordKind::DeadLetter | RecordKind::MaterialRequest | RecordKind::Promoter, _) => Kind::DeadLetter,
        }
    }
}

/// When it happened, as hours, minutes and seconds in Beijing; of a dead letter, when it was seen, of a day, when it was closed. Nothing
/// for a reply without material, or a day that is open.
pub fn time(event: &Decoded, kind: Kind) -> String {
    let own = match kind {
        Kind::Touch => event.text("create_time"),
        Kind::Paid | Kind::Unknown => event.text("paid_time"),
        Kind::Refunded => event.text("refunded_time").or(event.text("paid_time")),
        Kind::DeadLetter => event.text("observed_at"),
        Kind::Material => event.text("issued_at"),
        Kind::LedgerDay => event.text("closed_at"),
    };
    own.and_then(|time| time.parse().ok()).map_or_else(String::new, clock)
}

/// Hours, minutes and seconds in Beijing.
pub fn clock(time: Timestamp) -> String {
    in_beijing(time).strftime("%H:%M:%S").to_string()
}

fn in_beijing(time: Timestamp) -> DateTime {
    jiff::tz::Offset::constant(8).to_datetime(time)
}

/// What happened, in one line.
pub fn words(event: &Decoded, kind: Kind) -> String {
    match kind {
        Kind::Touch => format!("touch{}", origin(event)),
        Kind::Paid => format!("PAID {}", amount(event)),
        Kind::Refunded => format!("REFUNDED {}", amount(event)),
        Kind::Unknown => format!("status {} {}", number(event, "status_code"), amount(event)),
        Kind::DeadLetter => {
            format!("{} from {}: {}", text(event, "reason"), text(event, "source"), text(event, "detail"))
        }
        Kind::Material => {
            format!("{}: {}", text(event, "request_id"), material(event))
        }
        Kind::LedgerDay => day(event),
    }
}

fn origin(event: &Decoded) -> String {
    let path = event.text("path").map(|path| format!(" {}", printable(path)));
    let scene = event.field("scene").and_then(Value::as_i64).map(|scene| format!(" scene {scene}"));
    let info = event.text("share_extra_info").map(|info| format!(" share_extra_info {}", printable(info)));
    [path, scene, info].into_iter().flatten().collect()
}

/// What the reply brings, or why it brings nothing.
fn material(result: &Decoded) -> String {
    let status = result.text("status").unwrap_or_default();
    if status != "SUCCEEDED" {
        return format!("{status} {}", text(result, "errmsg"));
    }
    let link = result.text("tag").map(|tag| format!("short link {}", printable(tag)));
    // An image is never UTF-8, so it is shown as base64.
    let image = result.field("qrcode").and_then(|qrcode| BASE64_STANDARD.decode(qrcode["base64"].as_str()?).ok());
    let image = image.map(|image| format!("QR code of {} bytes", image.len()));
    let expires = result.text("expires_at").and_then(|time| time.parse().ok());
    let expires = expires.map(|time| format!("expires {}", in_beijing(time).date()));
    [link, image, expires].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What was published of the day, and of those before it that had nothing, and whether it is closed.
fn day(event: &Decoded) -> String {
    let (day, since) = (text(event, "day"), text(event, "empty_since"));
    let days = if since == day { day } else { format!("{since} to {day}") };
    let closed = event.text("closed_at").and_then(|time| time.parse().ok());
    let closed =
        closed.map_or_else(|| "open".to_owned(), |time| format!("closed {}", in_beijing(time).strftime("%F %T")));
    let number = |name| number(event, name);
    format!(
        "{} of {days}, shard {}: {closed}; published {}, duplicates {}, dead letters {}, promoters {}",
        text(event, "feed"),
        number("shard"),
        number("published"),
        number("duplicates"),
        number("dead_letters"),
        number("promoters"),
    )
}

/// Yuan, of which a fen is a hundredth.
fn amount(event: &Decoded) -> String {
    let fen = number(event, "paid_amount");
    let sign = if fen < 0 { "-" } else { "" };
    format!("{sign}¥{}.{:02}", fen.unsigned_abs() / 100, fen.unsigned_abs() % 100)
}

/// As a terminal may have it; empty where there is none.
fn text(event: &Decoded, name: &str) -> String {
    printable(event.text(name).unwrap_or_default())
}

fn number(event: &Decoded, name: &str) -> i64 {
    event.field(name).and_then(Value::as_i64).unwrap_or_default()
}

/// Users control some of the texts: nothing in them may move the cursor or change colours.
pub fn printable(text: &str) -> String {
    let mut letters = text.chars();
    let mut shown: String =
        letters.by_ref().take(TEXT_CHARS_MAX).map(|letter| if letter.is_control() { '·' } else { letter }).collect();
    if letters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::decode::Decoder;
    use crate::avro::encode::{Encoders, Framings};
    use crate::avro::framing::Framing;
    use crate::avro::material::ResultEncoder;
    use crate::model::day_record::{CountedDay, DayCounts, DayKey, DayStatus};
    use crate::model::dead_letter::DeadLetter;
    use crate::model::fact::Fact;
    use crate::model::feed::Feed;
    use crate::model::material::{Image, ImageKind, Material, MaterialOutcome, MaterialRefusal, MaterialResult};
    use crate::model::promoter::{IdKind, Promoter};
    use crate::model::row::{Payment, Touch};
    use crate::model::shard::Shard;
    use crate::model::time::{Day, UnixMillis, UnixTime};

    /// 2022-11-17 00:00 in Beijing.
    const MIDNIGHT: UnixTime = UnixTime(1_668_614_400);

    fn line(fact: &Fact) -> (String, String) {
        let mut bytes = Vec::new();
        let promoter = Promoter::from_key("wx1/o1").unwrap();
        let encoders = Encoders::new(Framings::SINGLE_OBJECT);
        encoders.fact(fact, &promoter, IdKind::OpenId, UnixMillis(0), &mut bytes).unwrap();
        shown(&bytes)
    }

    fn shown(bytes: &[u8]) -> (String, String) {
        let event = Decoder::new([]).decode(bytes).unwrap();
        let kind = Kind::of(&event);
        (time(&event, kind), words(&event, kind))
    }

    fn touch() -> Touch {
        Touch {
            openid: "u".into(),
            path: Some("pages/\u{1b}[2J".into()),
            scene: Some(1047),
            share_extra_info: Some("poster\r-1".into()),
            ..Touch::default()
        }
    }

    fn payment(status_code: i64) -> Payment {
        Payment {
            mch_id: "m".into(),
            trade_no: "t".into(),
            out_trade_no: None,
            create_time: None,
            status_code,
            paid_amount: 1205,
            paid_time: MIDNIGHT.plus(61),
            refunded_time: (status_code == 2).then_some(MIDNIGHT.plus(3600)),
        }
    }

    fn promoter() -> Promoter {
        Promoter::from_key("wx1/o1").unwrap()
    }

    #[test]
    fn a_touch_tells_where_it_came_from_without_what_a_terminal_would_obey() {
        let fact = Fact::touch(&promoter(), MIDNIGHT, touch(), Box::default());
        let words = "touch pages/·[2J scene 1047 share_extra_info poster·-1";
        assert_eq!(line(&fact), ("00:00:00".into(), words.into()));
    }

    #[test]
    fn orders_tell_their_status_and_amount() {
        let paid = Fact::paid(&promoter(), touch(), payment(1), Box::default());
        assert_eq!(line(&paid), ("00:01:01".into(), "PAID ¥12.05".into()));
        let refunded = Fact::refunded(&promoter(), touch(), payment(2), Box::default());
        assert_eq!(line(&refunded), ("01:00:00".into(), "REFUNDED ¥12.05".into()));
        let unknown = Fact::unknown(&promoter(), touch(), payment(99), Box::default());
        assert_eq!(line(&unknown), ("00:01:01".into(), "status 99 ¥12.05".into()));
    }

    #[test]
    fn a_dead_letter_tells_its_reason() {
        let detail = "openid is missing or empty".to_owned();
        let seen = MIDNIGHT.as_millis();
        let letter = DeadLetter::of_row(Feed::Touches, promoter(), "missing_openid", detail, Box::default(), seen);
        let mut bytes = Vec::new();
        Encoders::new(Framings::SINGLE_OBJECT).dead_letter(&letter, &mut bytes).unwrap();
        let words = "missing_openid from touches: openid is missing or empty";
        assert_eq!(shown(&bytes), ("00:00:00".into(), words.into()));
    }

    fn reply(outcome: MaterialOutcome) -> (String, String) {
        let [request_id, app_id, promoter_openid] = ["poster-1", "wx1", "o1"].map(str::to_owned);
        let result = MaterialResult { request_id, app_id, promoter_openid, outcome };
        let mut bytes = Vec::new();
        ResultEncoder::new(Framing::SingleObject).encode(&result, &mut bytes).unwrap();
        shown(&bytes)
    }

    #[test]
    fn a_reply_tells_what_material_it_brings() {
        let qrcode = Some(Image { kind: ImageKind::Png, bytes: b"\x89PNG".to_vec() });
        let tag = Some("#小程序://推广/1".to_owned());
        let material = Material { share_path: None, qrcode, tag, issued_at: MIDNIGHT.as_millis() };
        let words = "poster-1: short link #小程序://推广/1, QR code of 4 bytes, expires 2022-12-17";
        assert_eq!(reply(MaterialOutcome::Succeeded(material)), ("00:00:00".into(), words.into()));
    }

    #[test]
    fn a_reply_without_material_tells_why() {
        let refused = MaterialOutcome::Rejected(MaterialRefusal::own("path is empty"));
        assert_eq!(reply(refused), (String::new(), "poster-1: REJECTED path is empty".into()));
    }

    #[test]
    fn a_day_tells_what_was_published_of_it_and_whether_it_is_closed() {
        let day = Day::in_beijing(MIDNIGHT);
        let line = |closed_at, since| {
            let counts = DayCounts { published: 12, dead_letters: 1, duplicates: 3 };
            let status = DayStatus { counts, closed_at, since, ..DayStatus::default() };
            let key = DayKey { app: "wx1".into(), feed: Feed::Orders, day };
            let mut bytes = Vec::new();
            let encoders = Encoders::new(Framings::SINGLE_OBJECT);
            encoders.day(&CountedDay { key, status, promoters: 4 }, Shard(7), &mut bytes).unwrap();
            shown(&bytes)
        };
        let counts = "published 12, duplicates 3, dead letters 1, promoters 4";
        let closed = format!("orders of 2022-11-17, shard 7: closed 2022-11-17 00:00:00; {counts}");
        assert_eq!(line(Some(MIDNIGHT.as_millis()), day), ("00:00:00".into(), closed));
        let open = format!("orders of 2022-11-16 to 2022-11-17, shard 7: open; {counts}");
        assert_eq!(line(None, day.previous()), (String::new(), open));
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(printable(&"路".repeat(60)), format!("{}…", "路".repeat(48)));
    }
}
