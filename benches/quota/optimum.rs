//! What could be had where the rates were known: mean delays of a fact, in seconds.

use promoter_connector::model::pacing::intervals::IntervalBounds;

/// Without bounds for the intervals.
pub fn unbounded(rates: &[f64], calls_a_second: f64) -> f64 {
    let roots: f64 = rates.iter().map(|rate| rate.sqrt()).sum();
    roots * roots / (2.0 * calls_a_second * rates.iter().sum::<f64>())
}

/// Within the bounds.
pub fn bounded(rates: &[f64], calls_a_second: f64, bounds: IntervalBounds) -> f64 {
    let (every, idle) = (bounds.every.as_secs_f64(), bounds.idle_every.as_secs_f64());
    let interval = |scale: f64, rate: f64| (scale / rate.sqrt()).clamp(every, idle);
    let (mut least, mut most) = (1e-6, 1e6);
    for _ in 0..60 {
        let middle = f64::midpoint(least, most);
        let calls: f64 = rates.iter().map(|rate| 1.0 / interval(middle, *rate)).sum();
        if calls > calls_a_second { least = middle } else { most = middle }
    }
    let delays: f64 = rates.iter().map(|rate| rate * interval(most, *rate) / 2.0).sum();
    delays / rates.iter().sum::<f64>()
}
