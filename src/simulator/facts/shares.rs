//! What a promoter shares: the materials that were made for them, and the touches that come from one.
//!
//! A touch is decided on when it is made, and for good. Before a material counts, all touches up to its moment are made,
//! so those that come from it lie in a later second, and none that a page may have shown changes.

use std::collections::VecDeque;
use std::sync::Arc;

use rand::RngExt;

use crate::simulator::seed::Seed;

/// Of one promoter; one more takes the place of the oldest.
const MATERIALS_MAX: usize = 16;
/// The share of the touches that come from a material, once there is one.
const FROM_MATERIAL: f64 = 0.5;

/// What a touch brings back of its material.
#[derive(Debug, PartialEq, Eq)]
pub struct SharedMaterial {
    pub path: String,
    pub extra_info: Option<String>,
}

#[derive(Default)]
pub struct Shares {
    /// The newest last.
    materials: VecDeque<Arc<SharedMaterial>>,
    /// By the index of the touch, in ascending order. Most touches of most worlds are not here.
    touches: Vec<(usize, Arc<SharedMaterial>)>,
}

impl Shares {
    /// From now on touches may come from `material`; asked for again, it is the same one.
    pub fn add(&mut self, material: SharedMaterial) {
        self.materials.retain(|known| **known != material);
        if self.materials.len() == MATERIALS_MAX {
            self.materials.pop_front();
        }
        self.materials.push_back(Arc::new(material));
    }

    /// Decides where a new touch comes from. `index` is above those before it. What else happens to the promoter does not
    /// depend on it: the chance is the touch's own.
    pub fn decide(&mut self, index: usize, promoter: Seed) {
        if self.materials.is_empty() {
            return;
        }
        let mut rng = promoter.text("shares").stream(index as u64);
        if rng.random_bool(FROM_MATERIAL) {
            let chosen = rng.random_range(0..self.materials.len());
            self.touches.push((index, self.materials[chosen].clone()));
        }
    }

    /// The material that a touch comes from.
    pub fn of(&self, index: usize) -> Option<&SharedMaterial> {
        let place = self.touches.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        Some(&self.touches[place].1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn material(number: usize) -> SharedMaterial {
        SharedMaterial { path: format!("pages/{number}"), extra_info: None }
    }

    #[test]
    fn the_newest_materials_are_kept_and_the_touches_of_the_others_stay() {
        let (seed, mut shares) = (Seed::new(1), Shares::default());
        (0..MATERIALS_MAX).for_each(|number| shares.add(material(number)));
        (0..1000).for_each(|index| shares.decide(index, seed));
        let before: Vec<_> = (0..1000).map(|index| shares.of(index).map(|material| material.path.clone())).collect();
        (MATERIALS_MAX..2 * MATERIALS_MAX).for_each(|number| shares.add(material(number)));
        (1000..2000).for_each(|index| shares.decide(index, seed));
        let after: Vec<_> = (0..1000).map(|index| shares.of(index).map(|material| material.path.clone())).collect();
        assert_eq!(before, after);
        let paths = |range: std::ops::Range<usize>| -> BTreeSet<String> {
            range.filter_map(|index| shares.of(index)).map(|material| material.path.clone()).collect()
        };
        let numbered = |range: std::ops::Range<usize>| range.map(|number| material(number).path).collect();
        assert_eq!(paths(0..1000), numbered(0..MATERIALS_MAX));
        assert_eq!(paths(1000..2000), numbered(MATERIALS_MAX..2 * MATERIALS_MAX));
    }

    #[test]
    fn the_same_material_asked_for_again_takes_no_second_place() {
        let mut shares = Shares::default();
        for number in [0, 1, 0, 0, 1] {
            shares.add(material(number));
        }
        assert_eq!(shares.materials.len(), 2);
    }

    #[test]
    fn about_half_of_the_touches_come_from_a_material() {
        let mut shares = Shares::default();
        (0..1000).for_each(|index| shares.decide(index, Seed::new(1)));
        assert!(shares.touches.is_empty(), "there is no material yet");
        shares.add(material(0));
        (1000..2000).for_each(|index| shares.decide(index, Seed::new(1)));
        assert!((400..600).contains(&shares.touches.len()), "{}", shares.touches.len());
    }
}
