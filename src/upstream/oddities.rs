//! What rows say that is left out of their facts, or makes them doubtful: counted, and said once for each app.

use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;

use super::fields::ReadFields;
use crate::model::promoter::{AppId, Promoter};
use crate::model::row::Row;

/// Of the rows of one page, or of all pages of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// How often an optional field could not be read, by its name. The fact was published with null in its place.
    pub unreadable_fields: BTreeMap<&'static str, u64>,
    /// Rows that name another promoter than the one asked for. They were published under the one asked for: the upstream
    /// takes and gives openids and unionids. But one person entered under both is paid twice.
    pub other_promoter: u64,
}

impl Oddities {
    /// Counts what is odd about a row, which is given back.
    pub(super) fn note(&mut self, read: ReadFields) -> Row {
        for field in read.unreadable {
            *self.unreadable_fields.entry(field).or_default() += 1;
        }
        self.other_promoter += u64::from(read.names_another);
        read.row
    }

    pub fn is_empty(&self) -> bool {
        *self == Oddities::default()
    }

    fn add(&mut self, other: &Oddities) {
        for (field, count) in &other.unreadable_fields {
            *self.unreadable_fields.entry(field).or_default() += count;
        }
        self.other_promoter += other.other_promoter;
    }

    /// The fields that are met here for the first time.
    fn new_fields<'a>(&'a self, before: &'a Oddities) -> impl Iterator<Item = &'static str> + 'a {
        self.unreadable_fields.keys().filter(|field| !before.unreadable_fields.contains_key(*field)).copied()
    }
}

/// The oddities of all pages of one app.
#[derive(Debug)]
pub(super) struct OddityCounter {
    app: AppId,
    sums: Mutex<Sums>,
}

#[derive(Debug, Default)]
struct Sums {
    /// Since the process began.
    total: Oddities,
    /// Since they were last told.
    news: Oddities,
}

impl OddityCounter {
    pub fn new(app: AppId) -> OddityCounter {
        OddityCounter { app, sums: Mutex::default() }
    }

    #[cfg(any(test, debug_assertions, feature = "testing"))]
    pub fn total(&self) -> Oddities {
        self.sums().total.clone()
    }

    /// Adds those of a page, and warns of what is met for the first time: each field, and another promoter.
    pub fn add(&self, promoter: &Promoter, page: &Oddities) {
        if page.is_empty() {
            return;
        }
        let (app, mut sums) = (&self.app, self.sums());
        for field in page.new_fields(&sums.total) {
            tracing::warn!(%app, %promoter, field, "an optional field can't be read and is published as null");
        }
        if sums.total.other_promoter == 0 && page.other_promoter > 0 {
            tracing::warn!(
                %app, %promoter,
                "rows name another promoter than the one asked for: who is entered under two ids is paid twice"
            );
        }
        let Oddities { unreadable_fields, other_promoter } = page;
        tracing::debug!(%app, %promoter, ?unreadable_fields, other_promoter, "odd rows");
        sums.total.add(page);
        sums.news.add(page);
    }

    /// Says how many there were since the last call.
    pub fn tell(&self) {
        let Oddities { unreadable_fields, other_promoter } = std::mem::take(&mut self.sums().news);
        let app = &self.app;
        for (field, count) in unreadable_fields {
            tracing::info!(%app, field, count, "optional fields published as null");
        }
        if other_promoter > 0 {
            tracing::info!(%app, count = other_promoter, "rows of another promoter");
        }
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock()
    }
}
