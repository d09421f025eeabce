//! A page as the upstream sends it: its rows, `total_cnt`, and where the next one begins.

use std::io::Write;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::data_request::{DataRequest, Subject};
use super::rows::{Renderer, RowRef};
use super::selection::{Order, Selection};
use super::start_id::{self, Position, StartIdKey};
use crate::simulator::facts::details::{Drawer, Merchant};
use crate::simulator::facts::promoter::SimPromoter;
use crate::simulator::options::{DayZone, WorldOptions};
use crate::simulator::seed::Seed;

/// `total_cnt` of a full page, by the official page.
const FULL_PAGE: usize = 1000;

/// What a page showed, to be marked as shown when it has arrived whole.
#[derive(Debug, Default)]
pub struct Receipt {
    pub app: usize,
    pub promoter: usize,
    /// Whether the answer shows refunds alone.
    pub refunds_only: bool,
    /// When it was answered, in Unix seconds.
    pub answered_at: u32,
    pub rows: Vec<RowRef>,
}

/// Faults of a page as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageFaults {
    pub repeats_start_id: bool,
    pub hides_start_id: bool,
    pub endless: bool,
    pub errcode_text: bool,
    /// All rows stand in another order than in any call before.
    pub restless: bool,
}

pub enum Page {
    Rows { body: Vec<u8>, rows: Vec<RowRef> },
    NoData,
    BadStartId,
}

/// What is the same for all pages of a world.
pub struct Paging {
    pub drawer: Drawer,
    page_rows: usize,
    duplicates: f64,
    moving: u32,
    late_max: u32,
    days: DayZone,
    edit_every: i64,
    /// Whether the same row is written in different ways.
    loose: bool,
}

/// What a page says beside its rows.
struct Frame {
    total: usize,
    start_id: Option<u64>,
    errcode_text: bool,
}

impl Paging {
    pub fn new(options: &WorldOptions) -> Paging {
        Paging {
            drawer: Drawer::new(options),
            page_rows: options.page_rows as usize,
            duplicates: options.duplicates,
            moving: u32::try_from(options.moving.as_secs()).unwrap_or(u32::MAX),
            late_max: u32::try_from(options.late_max.as_secs()).unwrap_or(u32::MAX),
            days: options.days,
            edit_every: options.edit_every.as_secs().max(1).cast_signed(),
            loose: options.odd_rows > 0.0,
        }
    }

    /// `now` in Unix seconds; `call` is the seed of what happens by chance within this call.
    pub fn page(
        &self,
        promoter: &SimPromoter,
        request: &DataRequest,
        now: u32,
        call: Seed,
        page_faults: PageFaults,
    ) -> Page {
        let key = StartIdKey::new(promoter.seed, &format!("{:?}", request.subject));
        let start = match request.start_id {
            None => Some(Position::default()),
            Some(number) => number.and_then(|number| key.open(number)),
        };
        let Some(position) = start else {
            return Page::BadStartId;
        };
        let mut rng = call.text("page").rng();
        let selection = Selection {
            drawer: &self.drawer,
            promoter,
            subject: &request.subject,
            days: self.days,
            now,
            moving: self.moving,
            late_max: self.late_max,
        };
        let order = if page_faults.restless { Order::New } else { Order::Usual };
        let cut = selection.cut(position.offset, self.page_rows, self.duplicates, order, &mut rng);
        if cut.rows.is_empty() && (!self.loose || rng.random_bool(0.7)) {
            return Page::NoData;
        }
        // A full page is never known to be the last: the next one is then empty.
        let full = cut.rows.len() == self.page_rows;
        let next = match (full, page_faults.endless && !cut.rows.is_empty() && !cut.more) {
            (_, true) => Some(Position { offset: 0, round: position.round + 1 }),
            (true, false) => Some(Position { offset: cut.passed, round: position.round }),
            (false, false) => None,
        };
        let start_id = match next {
            Some(_) if page_faults.repeats_start_id && request.start_id.is_some() => request.start_id.flatten(),
            // A smaller page without one is the last, whatever it says of itself.
            Some(_) if page_faults.hides_start_id && cut.rows.len() >= FULL_PAGE => None,
            Some(position) => Some(key.close(position)),
            // The official samples give one on a last page too.
            None => rng.random_bool(0.5).then(|| key.close(Position { offset: cut.passed, ..position })),
        };
        let total = if next.is_some() { FULL_PAGE } else { cut.rows.len() };
        let frame = Frame { total, start_id, errcode_text: page_faults.errcode_text };
        let body = self.body(promoter, &request.subject, now, &cut.rows, &frame, &mut rng);
        Page::Rows { body, rows: cut.rows }
    }

    fn body(
        &self,
        promoter: &SimPromoter,
        subject: &Subject,
        now: u32,
        rows: &[RowRef],
        frame: &Frame,
        rng: &mut ChaCha8Rng,
    ) -> Vec<u8> {
        let list = self.list(promoter, subject, now, rows, rng);
        let rest = frame.render(promoter, rng, self.loose);
        let list_last = self.loose && rng.random_bool(0.2);
        let (first, second) = if list_last { (rest, list) } else { (list, rest) };
        [b"{".as_slice(), &first, b",", &second, b"}"].concat()
    }

    /// The key and the list, or a null where it is empty.
    fn list(
        &self,
        promoter: &SimPromoter,
        subject: &Subject,
        now: u32,
        rows: &[RowRef],
        rng: &mut ChaCha8Rng,
    ) -> Vec<u8> {
        let renderer = Renderer {
            drawer: &self.drawer,
            promoter,
            now,
            merchant: &self.merchant(promoter, now),
            first_merchant: &Merchant::at_revision(promoter, 0),
        };
        let name = match subject {
            Subject::Touches { .. } => "relation_list",
            Subject::Orders { .. } => "order_list",
        };
        if rows.is_empty() && rng.random_bool(0.5) {
            return format!("\"{name}\":null").into_bytes();
        }
        let mut list = Vec::with_capacity(64 + rows.len() * 400);
        list.extend_from_slice(format!("\"{name}\":[").as_bytes());
        for (place, row) in rows.iter().enumerate() {
            if place > 0 {
                list.extend_from_slice(if self.loose && place % 5 == 0 { b" ,\r\n\t" } else { b"," });
            }
            renderer.render(&mut list, *row, self.loose.then_some(&mut *rng));
        }
        list.push(b']');
        list
    }

    /// The merchant's words at a time; edits of different promoters come at different times.
    pub fn merchant(&self, promoter: &SimPromoter, now: u32) -> Merchant {
        let phase = (promoter.seed.text("edits").bits() >> 32).cast_signed() % self.edit_every;
        let revision = (i64::from(now) + phase).div_euclid(self.edit_every);
        Merchant::at_revision(promoter, revision.cast_unsigned())
    }
}

impl Frame {
    fn render(&self, promoter: &SimPromoter, rng: &mut ChaCha8Rng, loose: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        let quote = if loose && rng.random_bool(0.1) { "\"" } else { "" };
        let mut write = |text: std::fmt::Arguments<'_>| out.write_fmt(text).expect("writing to memory can't fail");
        write(format_args!("\"total_cnt\":{quote}{}{quote}", self.total));
        match self.start_id {
            Some(number) if promoter.traits.numeric_start_id => write(format_args!(",\"start_id\":{number}")),
            Some(number) => write(format_args!(",\"start_id\":\"{}\"", start_id::as_text(number))),
            None if rng.random_bool(0.5) => write(format_args!(",\"start_id\":\"\"")),
            None => {}
        }
        match (self.errcode_text, loose && rng.random_bool(0.2)) {
            (true, _) => write(format_args!(",\"errcode\":\"0\",\"errmsg\":\"OK\"")),
            (false, true) => {}
            (false, false) => write(format_args!(",\"errcode\":0,\"errmsg\":\"OK\"")),
        }
        out
    }
}
