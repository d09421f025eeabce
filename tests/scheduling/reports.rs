//! What the schedulers tell a report.

use promoter_connector::model::feed::{Feed, Interface, StartFrom};
use promoter_connector::model::time::UnixTime;

use super::world::{App, START, World, calm, days_ago, errcode, order, usual_touches};

#[tokio::test(start_paused = true)]
async fn feeds_that_wait_for_their_turn_are_overdue_and_the_oldest_cursor_is_told() {
    let touches = Some(order(60, 60, 600, StartFrom::Now));
    let app = App { touches, ..App::new(300) }.per_minute(Interface::GetRelation, 20);
    let world = World::new(calm);
    let reports = world.live(&[app], 3600).await;
    let progress = reports[0].progress();
    assert_eq!(progress.feeds, 300);
    // Twenty a minute are asked; at least those of the last minute or two are none.
    assert!((200..=290).contains(&progress.overdue), "{progress:?}");
    let oldest = progress.oldest[Feed::Touches].unwrap();
    assert!((START..START + 3600 - 600).contains(&oldest.0), "{oldest}");
    assert_eq!(progress.oldest[Feed::Orders], None);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_moves_is_told_and_who_is_parked_is_counted() {
    let touches = Some(order(60, 60, 600, days_ago(2)));
    let world = World::new(|call| if call.whom == "p000" { errcode(103014) } else { calm(call) });
    let reports = world.live(&[App { touches, ..App::new(10) }], 3600).await;
    let progress = reports[0].progress();
    assert_eq!((progress.parked, progress.overdue), (1, 0));
    let start = UnixTime((START - 2 * 86_400).div_euclid(60) * 60);
    assert_eq!(progress.oldest[Feed::Touches], Some(start), "of the one that is parked");
}

#[tokio::test(start_paused = true)]
async fn a_calm_app_has_failed_in_nothing() {
    let world = World::new(calm);
    let reports = world.live(&[App { touches: Some(usual_touches()), ..App::new(10) }], 3600).await;
    assert!(reports[0].take_failures().is_empty());
    assert_eq!((reports[0].progress().overdue, reports[0].progress().parked), (0, 0));
}
