//! What the demo prints: aligned lines, in colour only where a person looks on.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::event::{Kind, clock, printable, time, words};
use super::materials::Materials;
use super::requester::DemoRequest;
use crate::avro::decode::Decoded;

const DIM: &str = "2";
const BOLD: &str = "1";
const GREEN: &str = "1;32";
const RED: &str = "1;31";
const MATERIAL: &str = "34";
const TOUCH_FROM_MATERIAL: &str = "1;36";

/// Counts of the facts that were printed.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    touches: u64,
    payments: u64,
    refunds: u64,
    others: u64,
    dead_letters: u64,
}

pub struct Screen<W> {
    out: W,
    colours: bool,
    totals: Totals,
}

impl Screen<io::Stdout> {
    pub fn stdout() -> Screen<io::Stdout> {
        let out = io::stdout();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colours = out.is_terminal() && !plain;
        Screen { out, colours, totals: Totals::default() }
    }
}

impl<W: Write> Screen<W> {
    /// # Errors
    /// Where it can't be written.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// The names of the columns.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn head(&mut self) -> io::Result<()> {
        let line = columns("UTC+8", "topic", "promoter", "what happened");
        self.coloured(BOLD, &line)
    }

    /// A request that is being put on `topic`.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn request(&mut self, topic: &str, request: &DemoRequest) -> io::Result<()> {
        let words = format!("{}: asks for material for {}", request.poster, request.path);
        // Where the clock is set to no year that can be shown, that of 1970 does no harm.
        let now = jiff::Timestamp::from_millisecond(crate::clock::now().0).unwrap_or_default();
        let line = columns(&clock(now), topic, &request.promoter, &words);
        self.coloured(MATERIAL, &line)
    }

    /// `from_material`: whether it is a touch that came from material which was asked for.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn event(&mut self, topic: &str, event: &Decoded, from_material: bool) -> io::Result<()> {
        let kind = Kind::of(event);
        let (count, colour) = match kind {
            Kind::Touch if from_material => (Some(&mut self.totals.touches), TOUCH_FROM_MATERIAL),
            Kind::Touch => (Some(&mut self.totals.touches), "36"),
            Kind::Paid => (Some(&mut self.totals.payments), "32"),
            Kind::Refunded => (Some(&mut self.totals.refunds), "33"),
            Kind::Unknown => (Some(&mut self.totals.others), "35"),
            Kind::DeadLetter => (Some(&mut self.totals.dead_letters), "31"),
            Kind::Material => (None, MATERIAL),
        };
        count.into_iter().for_each(|count| *count += 1);
        let promoter = printable(event.text("promoter_openid").unwrap_or_default());
        let note = if from_material { "  <- asked for above" } else { "" };
        let line = columns(&time(event, kind), topic, &promoter, &(words(event, kind) + note));
        self.coloured(colour, &line)
    }

    /// The line of totals. `shown` is how many facts the upstream has shown.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn totals(&mut self, running: Duration, shown: u64, materials: &Materials) -> io::Result<()> {
        let Totals { touches, payments, refunds, others, dead_letters } = self.totals;
        let published = touches + payments + refunds + others + dead_letters;
        let line = format!(
            "-- {} s: shown {shown}, published {published}: {touches} touches, {payments} payments, {refunds} refunds, \
             {others} of unknown status, {dead_letters} dead letters; materials asked {}, answered {}",
            running.as_secs(),
            materials.requested(),
            materials.answered(),
        );
        self.coloured(DIM, &line)
    }

    /// # Errors
    /// As [`text`](Self::text).
    pub fn verdict(&mut self, text: &str, exact: bool) -> io::Result<()> {
        self.coloured(if exact { GREEN } else { RED }, text)
    }

    fn coloured(&mut self, colour: &str, line: &str) -> io::Result<()> {
        match self.colours {
            true => writeln!(self.out, "\u{1b}[{colour}m{line}\u{1b}[0m")?,
            false => writeln!(self.out, "{line}")?,
        }
        self.out.flush()
    }
}

fn columns(time: &str, topic: &str, promoter: &str, words: &str) -> String {
    format!("{time:8}  {topic:26}  {promoter:16}  {words}")
}
