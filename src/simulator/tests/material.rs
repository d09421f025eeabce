//! Touches come from the material that was asked for; what has been shown stays.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Client, START};
use crate::model::row::Touch;
use crate::model::time::UnixTime;
use crate::simulator::obstacles::faults::Level;
use crate::simulator::options::Bounds;
use crate::simulator::{Shown, ShownContent, WorldOptions};

const MATERIAL: &str = "/promoter/getsharematerial";

/// Without the QR code, which takes most of the time.
fn ask(client: &mut Client, promoter: &str, path: &str, extra_info: &str) {
    let request = json!({"openid": promoter, "path": path, "extra_info": extra_info, "share_type": 2});
    assert_eq!(client.errcode(MATERIAL, &request), 0);
}

/// Lively promoters, all of whose touches are plain.
fn options(seed: u64) -> WorldOptions {
    WorldOptions {
        seed,
        promoters: 3,
        history: Duration::from_secs(600),
        touches_per_hour: 600.0,
        bounds: Bounds::Inclusive,
        ..WorldOptions::plain()
    }
}

fn touches(client: &mut Client, promoter: &str) -> Vec<(UnixTime, Touch)> {
    client.touches(promoter, START.as_seconds().0 - 600);
    let of_promoter = |shown: Shown| match shown.content {
        ShownContent::Touch(create_time, touch) if shown.promoter.promoter_id() == promoter => {
            Some((create_time, touch))
        }
        _ => None,
    };
    client.world.truth().into_iter().filter_map(of_promoter).collect()
}

#[test]
fn some_later_touches_of_the_promoter_come_from_the_material_and_nothing_else_changes() {
    let (mut asked, mut left_alone) = (Client::new(&options(1)), Client::new(&options(1)));
    let [lively, other] = asked.world.liveliest(2).try_into().unwrap();
    ask(&mut asked, &lively, "pages/spring", "poster-1");
    for client in [&mut asked, &mut left_alone] {
        client.pass(600);
    }
    assert_eq!(touches(&mut asked, &other), touches(&mut left_alone, &other));
    let (touches, plain) = (touches(&mut asked, &lively), touches(&mut left_alone, &lively));
    assert_eq!(touches.len(), plain.len());
    let mut from_material = 0;
    for (touch, plain) in touches.iter().zip(&plain) {
        if touch == plain {
            continue;
        }
        from_material += 1;
        let info = Some("poster-1".to_owned());
        let (create_time, plain) = plain.clone();
        let expected = Touch { path: Some("pages/spring".into()), share_extra_info: info, ..plain };
        assert_eq!(*touch, (create_time, expected));
        assert!(create_time > START.as_seconds(), "it came before the material: {touch:?}");
    }
    let later = plain.iter().filter(|(create_time, _)| *create_time > START.as_seconds()).count();
    assert!(from_material > later / 4 && from_material < later, "{from_material} of {later}");
}

#[test]
fn material_without_extra_info_gives_its_path_alone() {
    let mut client = Client::new(&options(2));
    let promoter = client.world.liveliest(1).remove(0);
    assert_eq!(client.errcode(MATERIAL, &json!({"openid": promoter, "path": "pages/bare"})), 0);
    client.pass(600);
    let touches: Vec<_> = touches(&mut client, &promoter).into_iter().map(|(_, touch)| touch).collect();
    let from_material = |touch: &&Touch| touch.path.as_deref() == Some("pages/bare");
    assert!(touches.iter().filter(from_material).count() > 5);
    assert!(touches.iter().filter(from_material).all(|touch| touch.share_extra_info.is_none()));
}

/// Everything is read again and again while material is asked for, several times within the second of a reading, and
/// once by a clock that has gone back: had a touch changed, both of its forms would have been read, and the truth would
/// tell one.
#[test]
fn what_has_been_shown_never_changes() {
    let mut from_material = [0; 2];
    for seed in 0..2 {
        let late = WorldOptions {
            late: 0.5,
            late_max: Duration::from_secs(20),
            moving: Duration::from_secs(5),
            ..options(seed)
        };
        let mut client = Client::new(&WorldOptions { odd_rows: 0.2, duplicates: 0.1, faults: Level::None, ..late });
        let from = START.as_seconds().minus(600);
        let mut read = BTreeSet::new();
        for step in 0..20 {
            for promoter in client.world.promoter_ids() {
                ask(&mut client, &promoter, "pages/a\"b\\c/活动", &format!("before {step}"));
            }
            read.extend(client.read_all(from));
            for promoter in client.world.promoter_ids() {
                ask(&mut client, &promoter, "pages/again", &format!("after\n{step}"));
            }
            read.extend(client.read_all(from));
            client.pass(if step == 13 { -3 } else { 7 });
        }
        client.pass(60);
        read.extend(client.read_all(from));
        assert_eq!(read, client.truth(), "seed {seed}");
        for (count, word) in from_material.iter_mut().zip(["before ", "after\\n"]) {
            *count += read.iter().filter(|fact| fact.contains(word)).count();
        }
    }
    assert!(from_material.iter().all(|count| *count > 20), "{from_material:?}");
}

#[test]
fn touches_can_be_asked_for_by_the_path_of_the_material() {
    let mut client = Client::new(&options(3));
    let promoter = client.world.liveliest(1).remove(0);
    ask(&mut client, &promoter, "pages/spring", "poster-1");
    client.pass(600);
    let all = touches(&mut client, &promoter);
    let expected = all.iter().filter(|(_, touch)| touch.path.as_deref() == Some("pages/spring")).count();
    let pages = client.pages("/promoter/getrelation", &json!({"openid": promoter, "path": "pages/spring"}));
    let rows: Vec<_> = pages.iter().flat_map(|page| &page.rows).collect();
    assert_eq!(rows.len(), expected);
    let info = Value::from("poster-1");
    assert!(rows.iter().all(|row| row.0.iter().any(|(key, value)| key == "share_extra_info" && *value == info)));
}
