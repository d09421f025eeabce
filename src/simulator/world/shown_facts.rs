//! All that the world has shown, as one text that can be read in parts.

use super::state::World;
use crate::model::promoter::Promoter;
use crate::simulator::truth::promoter_truth::PromoterTruth;
use crate::simulator::truth::shown::Shown;

/// Where a reader of the truth goes on.
#[derive(Clone, Copy, Debug, Default)]
pub struct TruthPosition {
    app: usize,
    promoter: usize,
    place: usize,
}

impl World {
    /// Everything shown so far, in a fixed order: by app, promoter, kind and time.
    pub fn truth(&self) -> Vec<Shown> {
        let mut position = Some(TruthPosition::default());
        let mut lines = Vec::new();
        while let Some(at) = position {
            let (page, next) = self.truth_page(at, usize::MAX);
            lines.extend(page);
            position = next;
        }
        lines
    }

    /// A part of the truth that covers about `places` facts, and where the next part begins.
    pub fn truth_page(&self, at: TruthPosition, places: usize) -> (Vec<Shown>, Option<TruthPosition>) {
        let Some(app) = self.apps.get(at.app) else {
            return (Vec::new(), None);
        };
        let Some(promoter) = app.promoters.get(at.promoter) else {
            return (Vec::new(), Some(TruthPosition { app: at.app + 1, ..TruthPosition::default() }));
        };
        let key = Promoter::new(&app.id, &promoter.id).expect("the simulator's ids are made of letters and digits");
        let truth = PromoterTruth { paging: &self.paging, promoter, key };
        let end = truth.places().min(at.place.saturating_add(places));
        let lines = (at.place..end).flat_map(|place| truth.at(place)).collect();
        let next = match end < truth.places() {
            true => TruthPosition { place: end, ..at },
            false => TruthPosition { promoter: at.promoter + 1, place: 0, ..at },
        };
        (lines, Some(next))
    }
}
