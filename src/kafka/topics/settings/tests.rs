use super::*;

fn described(kind: TopicKind, replicas: usize, changed: &[(&str, &str)]) -> DescribedTopic<'static> {
    let usual = [
        ("cleanup.policy", if kind == TopicKind::Table { "compact" } else { "delete" }),
        ("message.timestamp.type", "CreateTime"),
        ("message.timestamp.before.max.ms", "9223372036854775807"),
        ("min.insync.replicas", "2"),
        ("unclean.leader.election.enable", "false"),
        ("retention.ms", "-1"),
        ("max.message.bytes", "1048588"),
    ];
    let settings = usual.iter().chain(changed).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    DescribedTopic { topic: "t", kind, replicas, settings: settings.collect() }
}

#[test]
fn a_topic_as_it_should_be_is_no_matter() {
    for kind in [
        TopicKind::Events,
        TopicKind::DeadLetters,
        TopicKind::RequestsAndReplies,
        TopicKind::OtherReplies,
        TopicKind::Table,
    ] {
        assert_eq!(described(kind, 3, &[]).findings(), TopicFindings::default());
        assert_eq!(described(kind, 3, &[]).ages(), TopicAges::default());
    }
}

#[test]
fn what_is_not_told_is_a_missing_right_and_no_setting() {
    for kind in [TopicKind::Events, TopicKind::DeadLetters, TopicKind::RequestsAndReplies, TopicKind::Table] {
        let silent = DescribedTopic { settings: HashMap::new(), ..described(kind, 3, &[]) };
        let TopicFindings { problems, .. } = silent.findings();
        assert_eq!(problems.len(), 1, "{problems:?}");
        let told = &problems[0].text;
        assert!(told.contains("DESCRIBE_CONFIGS") && !told.contains("cleanup.policy"), "{problems:?}");
    }
    let silent = DescribedTopic { settings: HashMap::new(), ..described(TopicKind::OtherReplies, 3, &[]) };
    assert_eq!(silent.findings().problems, []);
    assert_eq!(silent.takes(), AcceptedRecords { bytes: RECORD_BYTES_DEFAULT, keyed: false });
}

#[test]
fn what_is_wrong_is_told_with_the_setting_that_mends_it() {
    for (kind, changed, mended) in [
        (TopicKind::Table, ("cleanup.policy", "compact,delete"), "cleanup.policy=compact"),
        (TopicKind::Events, ("cleanup.policy", "compact"), "cleanup.policy=delete"),
        (TopicKind::RequestsAndReplies, ("cleanup.policy", "compact"), "cleanup.policy=delete"),
        (TopicKind::Events, ("message.timestamp.type", "LogAppendTime"), "message.timestamp.type=CreateTime"),
        (TopicKind::DeadLetters, ("max.message.bytes", "2000"), "max.message.bytes=1048588"),
    ] {
        let TopicFindings { problems, .. } = described(kind, 3, &[changed]).findings();
        let [problem] = &problems[..] else { panic!("{changed:?}: {problems:?}") };
        assert!(problem.text.starts_with(&format!("topic t has {}={}", changed.0, changed.1)), "{problem:?}");
        assert_eq!(problem.mended_by, Some(("t".to_owned(), mended.to_owned())));
        let (name, value) = mended.split_once('=').unwrap();
        assert_eq!(described(kind, 3, &[(name, value)]).findings().problems, []);
    }
}

#[test]
fn what_a_fault_of_brokers_could_lose_is_a_risk_and_no_problem() {
    for (replicas, changed, words) in [
        (1, ("min.insync.replicas", "1"), "one replica"),
        (3, ("min.insync.replicas", "1"), "min.insync.replicas=1"),
        (3, ("unclean.leader.election.enable", "true"), "unclean.leader.election.enable=true"),
        (3, ("message.timestamp.before.max.ms", "86400000"), "dead letter"),
    ] {
        let TopicFindings { problems, risks } = described(TopicKind::Events, replicas, &[changed]).findings();
        assert_eq!((problems.len(), risks.len()), (0, 1), "{changed:?}: {problems:?} {risks:?}");
        assert!(risks[0].contains(words) && !risks[0].contains("topic"), "{risks:?}");
    }
}

#[test]
fn of_the_times_that_are_taken_the_shortest_counts_by_the_name_that_its_broker_has_for_it() {
    let day = Duration::from_secs(86_400);
    let (new, old) = ("message.timestamp.before.max.ms", "message.timestamp.difference.max.ms");
    for (changed, name) in [
        (&[(old, "86400000")][..], old),
        (&[(new, "86400000")], new),
        (&[(new, "172800000"), (old, "86400000")], old),
        (&[(new, "86400000"), (old, "172800000")], new),
    ] {
        let topic = described(TopicKind::Events, 3, changed);
        assert_eq!(topic.ages(), TopicAges { taken: Some(AgeSetting { age: day, name }), kept: None });
        let limits = topic.ages().limits("t");
        assert!(limits.len() == 1 && limits[0].consequence.contains(name), "{limits:?}");
        let TopicFindings { risks, .. } = topic.findings();
        assert!(risks.len() == 1 && risks[0].starts_with(name), "{risks:?}");
    }
}

#[test]
fn a_retention_counts_only_where_records_are_deleted() {
    let day = [("retention.ms", "86400000")];
    let kept = AgeSetting { age: Duration::from_secs(86_400), name: "retention.ms" };
    assert_eq!(described(TopicKind::Events, 3, &day).ages().kept, Some(kept));
    assert_eq!(described(TopicKind::Table, 3, &day).ages().kept, None);
}
