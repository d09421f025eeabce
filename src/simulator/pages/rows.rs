//! A row as JSON, in all the looseness that the upstream has been seen with.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::simulator::facts::details::{Drawer, Merchant, Piece, RowDefect, TouchDetail};
use crate::simulator::facts::promoter::SimPromoter;

/// One line of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowRef {
    Touch(usize),
    /// The order as paid (or in an unknown status).
    Paid(usize),
    Refunded {
        order: usize,
        refund: usize,
    },
}

/// How an absent text is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Absent {
    #[default]
    Missing,
    Empty,
    Null,
}

/// How the same row is written this time. The default is the plain one.
#[derive(Clone, Copy, Debug, Default)]
struct Style {
    numbers_as_text: bool,
    texts_as_numbers: bool,
    escaped_slashes: bool,
    absent: Absent,
    /// The refund's time as a second `paid_time`, as in the official sample.
    second_paid_time: bool,
    unknown_key: bool,
}

impl Style {
    fn draw(rng: &mut ChaCha8Rng) -> Style {
        let bits: u32 = rng.random();
        let one_in_eight = |place: u32| bits >> place & 7 == 0;
        Style {
            numbers_as_text: one_in_eight(0),
            texts_as_numbers: one_in_eight(3),
            escaped_slashes: one_in_eight(6),
            absent: match bits >> 9 & 3 {
                0 => Absent::Empty,
                1 => Absent::Null,
                _ => Absent::Missing,
            },
            second_paid_time: bits >> 11 & 1 == 0,
            unknown_key: one_in_eight(12),
        }
    }
}

pub struct Renderer<'a> {
    pub drawer: &'a Drawer,
    pub promoter: &'a SimPromoter,
    /// Unix seconds.
    pub now: u32,
    pub merchant: &'a Merchant,
    /// The merchant's first words: dead rows keep them, since their bytes are their identity.
    pub first_merchant: &'a Merchant,
}

impl Renderer<'_> {
    /// Appends a row; without a generator in the plain style.
    pub fn render(&self, out: &mut Vec<u8>, row: RowRef, rng: Option<&mut ChaCha8Rng>) {
        let style = rng.map(Style::draw).unwrap_or_default();
        match row {
            RowRef::Touch(index) => {
                let detail = self.drawer.touch(self.promoter, index);
                let time = i64::from(self.promoter.touches[index].time);
                let mut object = self.object(out, style, &detail);
                object.touch(&detail, Some(time), true);
                object.finish();
            }
            RowRef::Paid(order) => self.order(out, style, order, None),
            RowRef::Refunded { order, refund } => self.order(out, style, order, Some(refund)),
        }
    }

    fn order(&self, out: &mut Vec<u8>, style: Style, order: usize, refund: Option<usize>) {
        let detail = self.drawer.order(self.promoter, order);
        let paid_time = i64::from(self.promoter.orders[order].time);
        let defect = detail.touch.defect;
        let mut object = self.object(out, style, &detail.touch);
        let create_time = detail.touch.has_create_time.then_some(paid_time - detail.touch_before);
        object.touch(&detail.touch, create_time, false);
        object.digits("mch_id", &detail.mch_id);
        object.text("trade_no", Some(&detail.trade_no));
        object.text("out_trade_no", detail.out_trade_no.as_deref());
        match (refund, detail.unknown_status) {
            (Some(_), _) => object.number("status", 2),
            // A row without a status means the same as one of status 0.
            (None, Some(0)) if object.style.absent == Absent::Missing => {}
            (None, Some(code)) => object.number("status", code),
            (None, None) => object.number("status", 1),
        }
        if defect != Some(RowDefect::MissingAmount) {
            object.number("paid_amount", detail.paid_amount);
        }
        object.time("paid_time", paid_time, defect);
        let refund = refund.map(|refund| &self.promoter.refunds[refund]);
        if let Some(refund) = refund.filter(|refund| !detail.hides_refund_time && refund.told_at <= self.now) {
            let key = if object.style.second_paid_time { "paid_time" } else { "refunded_time" };
            object.number(key, i64::from(refund.time));
        }
        object.finish();
    }

    /// The part that all rows begin with. Dead rows are written in one style for ever.
    fn object<'a>(&self, out: &'a mut Vec<u8>, style: Style, detail: &TouchDetail) -> Object<'a> {
        let dead = detail.defect.is_some();
        let merchant = if dead { self.first_merchant } else { self.merchant };
        let style = if dead { Style::default() } else { style };
        let mut object = Object { begin: out.len(), out, style };
        object.out.push(b'{');
        match detail.names_another {
            true => object.text("promoter_openid", Some("oSomebodyElse")),
            false => object.text("promoter_openid", Some(&self.promoter.id)),
        }
        object.optional_number("role_id", merchant.role_id);
        match merchant.retail_id.as_deref() {
            Some(digits) => object.digits("retail_id", digits),
            None => object.text("retail_id", None),
        }
        object.text("extra_info", merchant.extra_info.as_deref());
        object
    }
}

/// A JSON object that is being written.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    begin: usize,
    style: Style,
}

impl Object<'_> {
    fn touch(&mut self, detail: &TouchDetail, create_time: Option<i64>, time_is_needed: bool) {
        match detail.defect {
            Some(RowDefect::MissingOpenid) => {}
            Some(RowDefect::EmptyOpenid) => {
                self.key("openid");
                self.out.extend_from_slice(b"\"\"");
            }
            Some(RowDefect::NestedOpenid) => {
                self.key("openid");
                self.out.extend_from_slice(format!("{{\"id\":\"{}\"}}", detail.openid).as_bytes());
            }
            _ => self.text("openid", Some(&detail.openid)),
        }
        match create_time {
            Some(time) if time_is_needed => self.time("create_time", time, detail.defect),
            time => self.optional_number("create_time", time),
        }
        self.text("path", detail.path.as_deref());
        match detail.broken_scene {
            Some(broken) => {
                self.key("scene");
                self.out.extend_from_slice(broken.as_bytes());
            }
            None => self.optional_number("scene", detail.scene),
        }
        match detail.share_extra_info.is_empty() {
            true => self.text("share_extra_info", None),
            false => self.pieces("share_extra_info", &detail.share_extra_info),
        }
        if self.style.unknown_key {
            self.key("added_later");
            self.out.extend_from_slice(br#"{"list":[1,"}"],"flag":true}"#);
        }
    }

    fn key(&mut self, name: &str) {
        if self.out.len() > self.begin + 1 {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, name: &str, text: Option<&str>) {
        match (text, self.style.absent) {
            (None, Absent::Missing) => {}
            (None, Absent::Null) => {
                self.key(name);
                self.out.extend_from_slice(b"null");
            }
            (None, Absent::Empty) => {
                self.key(name);
                self.out.extend_from_slice(b"\"\"");
            }
            (Some(text), _) => {
                self.key(name);
                self.out.push(b'"');
                self.escaped(text);
                self.out.push(b'"');
            }
        }
    }

    /// A text of digits, which may come as a number.
    fn digits(&mut self, name: &str, digits: &str) {
        self.key(name);
        let quote: &[u8] = if self.style.texts_as_numbers { b"" } else { b"\"" };
        self.out.extend_from_slice(quote);
        self.out.extend_from_slice(digits.as_bytes());
        self.out.extend_from_slice(quote);
    }

    fn optional_number(&mut self, name: &str, number: Option<i64>) {
        match number {
            Some(number) => self.number(name, number),
            // An empty text for a number has not been seen: null or nothing.
            None if self.style.absent == Absent::Null => {
                self.key(name);
                self.out.extend_from_slice(b"null");
            }
            None => {}
        }
    }

    fn number(&mut self, name: &str, number: i64) {
        use std::io::Write;
        self.key(name);
        let quote = if self.style.numbers_as_text { "\"" } else { "" };
        write!(self.out, "{quote}{number}{quote}").expect("writing to memory can't fail");
    }

    /// The time without which the row can't be read.
    fn time(&mut self, name: &str, time: i64, defect: Option<RowDefect>) {
        match defect {
            Some(RowDefect::MissingTime) => {}
            Some(RowDefect::UnreadableTime) => {
                self.key(name);
                self.out.extend_from_slice(b"\"soon\"");
            }
            Some(RowDefect::FutureTime) => self.number(name, time + 10 * 366 * 86_400),
            Some(RowDefect::AncientTime) => self.number(name, time / 1000),
            Some(RowDefect::BrokenSyntax) => {
                self.key(name);
                self.out.extend_from_slice(b",,");
            }
            _ => self.number(name, time),
        }
    }

    fn pieces(&mut self, name: &str, pieces: &[Piece]) {
        use std::io::Write;
        self.key(name);
        self.out.push(b'"');
        for piece in pieces {
            match piece {
                Piece::Plain(text) => self.escaped(text),
                Piece::Control(letter) => self.out.push(*letter as u8),
                Piece::Broken(bytes) => self.out.extend_from_slice(bytes),
                Piece::LoneSurrogate(unit) => {
                    write!(self.out, "\\u{unit:04x}").expect("writing to memory can't fail");
                }
            }
        }
        self.out.push(b'"');
    }

    fn escaped(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', byte]),
                b'/' if self.style.escaped_slashes => self.out.extend_from_slice(b"\\/"),
                _ => self.out.push(byte),
            }
        }
    }

    fn finish(self) {
        self.out.push(b'}');
    }
}
