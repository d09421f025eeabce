use super::*;
use crate::telemetry::captured::Captured;

#[tokio::test(start_paused = true)]
async fn that_it_is_ready_is_told_once() {
    let (captured, end) = (Captured::start(), CancellationToken::new());
    let observed = Arc::new(ObservedConnector::for_tests());
    let watching = watch(observed.clone(), end.clone());
    let working = async {
        let pause = || tokio::time::sleep(Duration::from_secs(10));
        let health = &observed.polls.health;
        pause().await;
        assert!(captured.events("ready").is_empty(), "it has not worked yet");
        health.answered();
        health.works();
        pause().await;
        assert_eq!(captured.events("ready").len(), 1);
        // Silent, and heard again.
        tokio::time::sleep(2 * crate::telemetry::health::SILENCE_MAX).await;
        health.answered();
        pause().await;
        end.cancel();
    };
    tokio::join!(watching, working);
    let ready = captured.events("ready");
    assert_eq!(ready.len(), 1, "{ready:?}");
    assert_eq!((&ready[0]["level"], &ready[0]["instance"]), (&"INFO".into(), &"one".into()));
    assert_eq!(ready[0]["state"], "working");
}
