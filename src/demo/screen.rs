//! What the demo prints: aligned lines, in colour only where a person looks on.

use std::collections::BTreeMap;
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
const TOUCH_FROM_MATERIAL: &str = "1;36";

pub struct Screen<W> {
    out: W,
    colours: bool,
    /// How many of each kind were printed.
    totals: BTreeMap<Kind, u64>,
}

impl Screen<io::Stdout> {
    pub fn stdout() -> Screen<io::Stdout> {
        let out = io::stdout();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colours = out.is_terminal() && !plain;
        Screen { out, colours, totals: BTreeMap::new() }
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
        self.coloured(Kind::Material.colour(), &line)
    }

    /// `from_material`: whether it is a touch that came from material which was asked for.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn event(&mut self, topic: &str, event: &Decoded, from_material: bool) -> io::Result<()> {
        let kind = Kind::of(event);
        *self.totals.entry(kind).or_default() += 1;
        let colour = if from_material { TOUCH_FROM_MATERIAL } else { kind.colour() };
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
        let counts = Kind::FACTS.map(|kind| (kind, self.totals.get(&kind).copied().unwrap_or_default()));
        let published: u64 = counts.iter().map(|(_, count)| count).sum();
        let counts = counts.map(|(kind, count)| format!("{count} {}", kind.plural())).join(", ");
        let line = format!(
            "-- {} s: shown {shown}, published {published}: {counts}; materials asked {}, answered {}",
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
