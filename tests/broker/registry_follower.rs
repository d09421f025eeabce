//! How a running instance follows the registry, shard by shard.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use promoter_connector::commit::log::OpenError;
use promoter_connector::registry::event::RegistryEvent;
use promoter_connector::registry::record::RegistryContent;

use self::scene::{AWAY_ID, Scene, TOLD_ID, UNKNOWN_ID, id_in, json, letters, of, said};
use super::producer::Transactional;
use super::secured::sasl_properties;
use super::world::BOUND;
use crate::harness::case::Case;
use crate::harness::context::Context;
use crate::harness::rights::{self, DESCRIBE, READ, TOPIC};
use crate::harness::security::{PASSWORD, SCRAM_USER};
use crate::harness::wait::wait_until;

mod scene;

/// From the commit of a change to its event.
const CHANGE_MAX: Duration = Duration::from_secs(2);

pub const CASES: &[Case] = &[
    Case::shared("registry follower: what stands in a shard is read whole, and a change arrives soon", shard_is_read),
    Case::shared("registry follower: a shard joins and another leaves, and nothing is read again", shards_come_and_go),
    Case::shared("registry follower: nothing aborted is seen, and nothing open is waited for", transactions),
    Case::shared("registry follower: a schema that is not to be had yet holds up its own shard alone", schema_is_away),
    Case::shared("registry follower: many changes wait until they are taken, and none is lost", many_changes),
    Case::shared("registry follower: of a topic that is made anew all is read", made_anew),
    Case::shared("registry follower: a topic that is missing is named", missing_topic),
    Case::secured("registry follower: a right that is missing is named", missing_rights),
];

fn shard_is_read(context: &Context) -> Result<()> {
    let mut scene = Scene::open(context)?;
    let [changed, told, as_json, gone, broken, unknown] = [0, 1, 2, 3, 4, 5].map(|number| id_in(0, number));
    let misplaced = id_in(1, 0);
    scene.put(0, &changed, Some(&scene.single_object(&changed, false)?))?;
    scene.put(0, &told, Some(&scene.framed(&told, TOLD_ID)?))?;
    scene.put_json(0, &as_json, &json(&as_json))?;
    scene.put(0, &gone, Some(&scene.own(&gone)?))?;
    scene.put(0, &broken, Some(b"broken"))?;
    scene.put(0, &misplaced, Some(&scene.own(&misplaced)?))?;
    scene.put(0, &unknown, Some(&scene.framed(&unknown, UNKNOWN_ID)?))?;
    scene.put(0, &gone, None)?;
    scene.put(0, &changed, Some(&scene.single_object(&changed, true)?))?;

    let content = scene.follow(0, 1)?;
    // The first tells since when he is registered.
    let expected = [
        (changed.clone(), Some(false)),
        (changed.clone(), Some(true)),
        (told, Some(false)),
        (as_json, Some(false)),
        (gone, None),
    ];
    ensure!(said(&content) == expected, "{content:?}");
    let expected = [(4, "not_avro", &broken), (5, "misplaced", &misplaced), (6, "unknown_schema", &unknown)]
        .map(|(offset, reason, id)| (offset, reason.to_owned(), id.clone()));
    ensure!(letters(&content) == expected, "{content:?}");
    let raw = content.iter().map(RegistryEvent::raw_bytes).sum::<usize>();
    ensure!(raw > b"broken".len(), "the letters hold what was written: {raw} bytes");

    let began = Instant::now();
    scene.put(0, &changed, None)?;
    let events = scene.next()?;
    ensure!(began.elapsed() < CHANGE_MAX, "it took {:?}", began.elapsed());
    ensure!(
        events
            == (
                of(0, 1),
                vec![RegistryEvent::Said {
                    promoter: scene.promoter(&changed)?,
                    content: RegistryContent::Record(None)
                }]
            )
    );
    Ok(())
}

fn shards_come_and_go(context: &Context) -> Result<()> {
    let mut scene = Scene::open(context)?;
    let (in_first, in_second) = (id_in(0, 0), id_in(1, 0));
    for number in 0..100 {
        let id = id_in(0, number);
        scene.put(0, &id, Some(&scene.own(&id)?))?;
    }
    ensure!(scene.follow(0, 1)?.len() == 100);
    ensure!(scene.follow(1, 2)?.is_empty());
    // What was read before would come out first.
    scene.put(0, &in_first, None)?;
    ensure!(scene.next()? == (of(0, 1), vec![scene.removed(&in_first)?]));
    scene.put(1, &in_second, None)?;
    ensure!(scene.next()? == (of(1, 2), vec![scene.removed(&in_second)?]));

    scene.follower.leave(of(0, 1));
    scene.put(0, &id_in(0, 1), None)?;
    scene.put(1, &in_second, None)?;
    ensure!(scene.next()? == (of(1, 2), vec![scene.removed(&in_second)?]), "of the shard that was left nothing comes");

    ensure!(scene.follow(0, 3)?.len() == 100, "assigned anew it is read from its beginning");
    scene.follower.leave(of(0, 1));
    scene.put(0, &in_first, None)?;
    ensure!(scene.next()? == (of(0, 3), vec![scene.removed(&in_first)?]), "and an older assignment ends nothing");
    Ok(())
}

fn transactions(context: &Context) -> Result<()> {
    let mut scene = Scene::open(context)?;
    let [committed, aborted, open, behind] = [0, 1, 2, 3].map(|number| id_in(0, number));
    scene.put(0, &committed, None)?;
    let aborting = Transactional::open(context.bootstrap(), &format!("{}.aborting", scene.topic))?;
    let abort = || -> Result<()> {
        aborting.begin()?;
        aborting.write_to(&scene.topic, 0, &format!("wx1/{aborted}"), "aborted")?;
        Ok(aborting.abort()?)
    };
    // Nothing but an aborted record and a marker stands before the end.
    abort()?;
    let opening = Transactional::open(context.bootstrap(), &format!("{}.open", scene.topic))?;
    opening.begin()?;
    opening.write_to(&scene.topic, 0, &format!("wx1/{open}"), "open")?;
    scene.put(0, &behind, None)?;

    ensure!(scene.follow(0, 1)? == [scene.removed(&committed)?], "what stands before the open transaction");
    abort()?;
    opening.commit()?;
    let mut events = Vec::new();
    while events.len() < 2 {
        events.extend(scene.next()?.1);
    }
    ensure!(letters(&events).into_iter().map(|(_, _, id)| id).eq([open]), "{events:?}");
    ensure!(events.last() == Some(&scene.removed(&behind)?), "{events:?}");
    scene.put(0, &committed, None)?;
    ensure!(scene.next()?.1 == [scene.removed(&committed)?], "what was aborted is not seen");
    Ok(())
}

fn schema_is_away(context: &Context) -> Result<()> {
    let mut scene = Scene::open(context)?;
    let (waiting, behind, other) = (id_in(0, 0), id_in(0, 1), id_in(1, 0));
    for shard in [0, 1] {
        ensure!(scene.follow(shard, 1)?.is_empty());
    }
    scene.put(0, &waiting, Some(&scene.framed(&waiting, AWAY_ID)?))?;
    scene.put(0, &behind, None)?;
    scene.wait_until_requested()?;
    scene.put(1, &other, None)?;
    ensure!(scene.next()? == (of(1, 1), vec![scene.removed(&other)?]), "the other shard goes on");
    scene.schemas_are_back();
    let mut events = Vec::new();
    while events.len() < 2 {
        events.extend(scene.next()?.1);
    }
    ensure!(said(&events) == [(waiting, Some(false)), (behind, None)], "in their order: {events:?}");
    Ok(())
}

fn many_changes(context: &Context) -> Result<()> {
    const CHANGES: usize = 5_000;
    let mut scene = Scene::open(context)?;
    ensure!(scene.follow(0, 1)?.is_empty());
    let ids: Vec<String> = (0..CHANGES).map(|number| id_in(0, number)).collect();
    scene.put_all(0, &ids)?;
    // More than may wait: meanwhile another shard is read whole.
    scene.put(1, &id_in(1, 0), None)?;
    ensure!(scene.follow(1, 2)?.len() == 1);
    let mut events = Vec::new();
    while events.len() < CHANGES {
        let (shard, more) = scene.next()?;
        ensure!(shard == of(0, 1) && more.len() <= 1000, "{} at once of {shard:?}", more.len());
        events.extend(more);
    }
    ensure!(said(&events).into_iter().map(|(id, _)| id).eq(ids), "each once, and in order");
    Ok(())
}

fn made_anew(context: &Context) -> Result<()> {
    let mut scene = Scene::open(context)?;
    let ids: Vec<String> = (0..20).map(|number| id_in(0, number)).collect();
    scene.put_all(0, &ids[..8])?;
    ensure!(scene.follow(0, 1)?.len() == 8);
    context.topics().delete(&scene.topic)?;
    wait_until("the topic is made anew", BOUND, || {
        Ok(context.topics().create("registry", 3, &[("cleanup.policy", "compact")]).ok())
    })?;
    // Fewer than before: the reader's offset lies beyond them.
    for id in &ids[8..11] {
        wait_until("it takes records", BOUND, || Ok(scene.put(0, id, Some(&scene.own(id)?)).ok()))?;
    }
    let mut came = Vec::new();
    while came.len() < 3 {
        came.extend(said(&scene.next()?.1));
    }
    scene.put_all(0, &ids[11..])?;
    while came.len() < 12 {
        came.extend(said(&scene.next()?.1));
    }
    let came: Vec<String> = came.into_iter().map(|(id, _)| id).collect();
    ensure!(came == ids[8..], "{came:?}");
    Ok(())
}

fn missing_topic(context: &Context) -> Result<()> {
    let mut scene = Scene::open(context)?;
    let topic = scene.topic.clone() + ".missing";
    scene.restart_on(context, &topic)?;
    match scene.try_follow(0, 1)? {
        Err(OpenError::Stop(error)) => {
            ensure!(error.to_string() == format!("topic {topic} does not exist"), "{error}");
            Ok(())
        }
        other => bail!("{other:?}"),
    }
}

fn missing_rights(context: &Context) -> Result<()> {
    let mut scene = Scene::open(context)?;
    let properties = sasl_properties(context, "SCRAM-SHA-512", "scram", PASSWORD)?;
    let id = id_in(0, 0);
    scene.put(0, &id, None)?;
    scene.restart_as(properties.into_iter().map(|(name, value)| (name.to_string(), value)).collect())?;
    let topics = std::slice::from_ref(&scene.topic);
    for right in [DESCRIBE, READ] {
        // A broker under load may let it wait before it refuses.
        let error = wait_until("it is refused", BOUND, || match scene.try_follow(0, 1)? {
            Err(OpenError::Again(_)) => Ok(None),
            Err(OpenError::Stop(error) | OpenError::Unfit(error)) => Ok(Some(error)),
            Ok(_) => bail!("it is read without {right:?}"),
        })?;
        let words = format!("topic {} may not be read; allow this user to READ it", scene.topic);
        ensure!(error.to_string() == words, "{error}");
        rights::allow(context.bootstrap(), SCRAM_USER, &[right], TOPIC, topics)?;
    }
    // A right that was given is known to the broker a moment later.
    wait_until("the shard is read", BOUND, || Ok(scene.try_follow(0, 1)?.ok().map(|content| content.len())))?;
    Ok(())
}
