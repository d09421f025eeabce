//! What changes where the configuration is read again.

use std::collections::HashMap;

use super::table::ConfiguredPromoter;
use crate::model::promoter::Promoter;

/// What the configuration says of each promoter of whom it says something else `after` than `before`; nothing of one that it
/// does not name any more. Both name each promoter once, in any order.
pub fn updates(
    before: &[(Promoter, ConfiguredPromoter)],
    after: &[(Promoter, ConfiguredPromoter)],
) -> Vec<(Promoter, Option<ConfiguredPromoter>)> {
    let mut unmet: HashMap<&Promoter, ConfiguredPromoter> =
        before.iter().map(|(promoter, configured)| (promoter, *configured)).collect();
    let said = after.iter().filter(|(promoter, configured)| unmet.remove(promoter) != Some(*configured));
    let mut updates: Vec<_> = said.map(|(promoter, configured)| (promoter.clone(), Some(*configured))).collect();
    let gone = before.iter().filter(|(promoter, _)| unmet.contains_key(promoter));
    updates.extend(gone.map(|(promoter, _)| (promoter.clone(), None)));
    updates
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::model::feed::{Feed, StartFrom};
    use crate::model::feed_set::FeedSet;

    fn configured() -> impl Strategy<Value = ConfiguredPromoter> {
        let feeds = prop::sample::select(vec![FeedSet::default(), FeedSet::from_iter([Feed::Orders])]);
        let start = prop::sample::select(vec![None, Some(StartFrom::Now), Some(StartFrom::Earliest)]);
        (feeds, start).prop_map(|(feeds, start_from)| ConfiguredPromoter { feeds, start_from: start_from.into() })
    }

    fn list() -> impl Strategy<Value = Vec<(Promoter, ConfiguredPromoter)>> {
        let promoters = prop::collection::btree_map(0..8_u8, configured(), 0..8);
        let key = |number| Promoter::from_key(&format!("wx1/o{number}")).unwrap();
        let promoters = promoters.prop_map(move |promoters| {
            promoters.into_iter().map(|(number, configured)| (key(number), configured)).collect::<Vec<_>>()
        });
        promoters.prop_shuffle()
    }

    proptest! {
        #[test]
        fn what_is_told_makes_the_new_list_of_the_old_one_and_names_nobody_else(before in list(), after in list()) {
            let mut followed: BTreeMap<Promoter, ConfiguredPromoter> = before.iter().cloned().collect();
            for (promoter, update) in updates(&before, &after) {
                prop_assert_ne!(followed.get(&promoter).copied(), update, "{} is as it was", promoter);
                match update {
                    Some(configured) => followed.insert(promoter, configured),
                    None => followed.remove(&promoter),
                };
            }
            prop_assert_eq!(followed, after.into_iter().collect::<BTreeMap<_, _>>());
        }
    }
}
