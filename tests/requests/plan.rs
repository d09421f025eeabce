//! What a seed asks, when, and in which world.

use std::ops::Range;
use std::time::Duration;

use promoter_connector::model::material::MaterialRequest;
use promoter_connector::model::request::record::{CONTENT_TYPE, Header, RecordOffset, RequestRecord};
use promoter_connector::model::time::UnixMillis;
use promoter_connector::retry::RetrySettings;
use promoter_connector::simulator::WorldOptions;
use promoter_connector::simulator::faults::{FaultRate, InjectedFault, Level};
use promoter_connector::upstream::breaker::BreakerSettings;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::upstream::Outage;
use crate::sample_requests::{AVRO, Asked, End, FLAWS_COUNT, JSON, asked};

pub const START: UnixMillis = UnixMillis(1_700_000_000_000);
const APPS: [&str; 3] = ["wx1", "wx2", "wx3"];
/// A path the world takes no more: the pipeline knows no bound, so it has to ask.
const LONG_PATH_BYTES: usize = 1100;
/// What the registry has the schemas of requesters under.
pub const FOREIGN_IDS: Range<i32> = 20..24;
const SINGLE_OBJECT_HEADER_BYTES: usize = 10;
/// More than twice what one app may have in memory.
const MANY: usize = 600;

pub struct Plan {
    pub options: WorldOptions,
    pub retry: RetrySettings,
    pub breakers: BreakerSettings,
    /// Calls of one app at once.
    pub concurrency: usize,
    pub partitions: i32,
    /// An app that can't be asked for a while, and has far more requests than there is room for in memory.
    pub outage: Option<Outage>,
    pub loss: Option<Loss>,
    /// From when to when the schema registry is away.
    pub registry_away: Vec<Range<Duration>>,
    /// In the order in which they come. The number of a request is its index.
    pub requests: Vec<Planned>,
}

/// The topic loses what stands at a place and behind it.
#[derive(Clone, Copy)]
pub struct Loss {
    pub at: Duration,
    pub location: RecordOffset,
}

pub struct Planned {
    pub location: RecordOffset,
    /// When it comes.
    pub at: Duration,
    pub asked: Asked,
    pub kind: Kind,
    /// The topic loses it, answered or not.
    pub is_lost: bool,
    pub fingerprint: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Whole,
    /// Of a promoter who is not authorised.
    Unauthorised,
    LongPath,
    /// The pipeline itself finds what is wrong with it.
    Flawed,
}

impl Kind {
    fn of(asked: &Asked) -> Kind {
        match asked.end {
            End::Succeeded if asked.request.path.len() >= LONG_PATH_BYTES => Kind::LongPath,
            End::Succeeded => Kind::Whole,
            End::Refused("FAILED", _) => Kind::Unauthorised,
            End::Refused(..) | End::DeadLetter(_) => Kind::Flawed,
        }
    }
}

impl Planned {
    pub fn record(&self) -> RequestRecord {
        let content_type = self.asked.content_type.as_bytes().into();
        let header = Header { name: CONTENT_TYPE.to_owned(), value: Some(content_type) };
        let value = self.asked.value.clone().map(Into::into);
        RequestRecord {
            location: self.location,
            timestamp: UnixMillis(START.0 + i64::try_from(self.at.as_millis()).unwrap()),
            key: None,
            headers: vec![header],
            value,
        }
    }
}

/// The page that a request asks for tells its number, also in the calls that are made for it.
fn path(number: usize) -> String {
    format!("pages/{number}?")
}

/// Which request a path belongs to.
pub fn number_of(path: &str) -> Option<usize> {
    path.strip_prefix("pages/")?.split_once('?')?.0.parse().ok()
}

pub fn plan(seed: u64, random: &mut ChaCha8Rng) -> Plan {
    let options = options(seed, random);
    let partitions = random.random_range(1..=3);
    let quiet = options.quiet_after.unwrap();
    let outage = random.random_bool(0.1).then(|| {
        let lasts = quiet.mul_f64(random.random_range(0.3..0.9));
        let until = UnixMillis(START.0 + i64::try_from(lasts.as_millis()).unwrap());
        Outage { app: options.apps[0].clone(), until }
    });
    let mut times: Vec<(Duration, bool)> =
        (0..random.random_range(20..100)).map(|_| (quiet.mul_f64(random.random_range(0.0..1.1)), false)).collect();
    if outage.is_some() {
        times.extend((0..MANY).map(|_| (quiet.mul_f64(random.random_range(0.0..0.3)), true)));
    }
    times.sort_unstable();
    let lost_at = random.random_bool(0.2).then(|| quiet.mul_f64(random.random_range(0.2..0.9)));
    let mut loss: Option<Loss> = None;
    let mut offsets = vec![0; partitions as usize];
    let mut requests: Vec<Planned> = Vec::new();
    for (number, (at, is_one_of_many)) in times.into_iter().enumerate() {
        if let Some(lost_at) = lost_at.filter(|lost_at| loss.is_none() && !requests.is_empty() && *lost_at <= at) {
            loss = lose(lost_at, &mut requests, &mut offsets, random);
        }
        let partition = random.random_range(0..partitions);
        let offset = &mut offsets[partition as usize];
        // Control records, and what was compacted away, leave gaps; some are wider than a tracker.
        *offset += if random.random_bool(0.02) { 2000 } else { random.random_range(1..4) };
        let location = RecordOffset { partition, offset: *offset };
        let app = outage.as_ref().filter(|_| is_one_of_many).map(|outage| outage.app.clone());
        let asked = request(seed, number, at, app, &options, random);
        let mut planned = Planned { location, at, kind: Kind::of(&asked), asked, is_lost: false, fingerprint: 0 };
        planned.fingerprint = planned.record().fingerprint();
        requests.push(planned);
    }
    let retry = RetrySettings {
        initial: Duration::from_millis(200),
        max: Duration::from_secs(10),
        attempts: random.random_range(1..=4),
        jitter: 0.0,
    };
    let breakers = BreakerSettings {
        too_fast: Duration::from_secs(random.random_range(5..60)),
        stopped: Duration::from_secs(random.random_range(10..300)),
        unanswered: retry.max,
    };
    let concurrency = random.random_range(1..=8);
    let registry_away = estrange(seed, quiet, &mut requests);
    Plan { options, retry, breakers, concurrency, partitions, outage, loss, registry_away, requests }
}

/// In some seeds many requests are in schemas of their requesters, and the registry that has these is away twice.
fn estrange(seed: u64, quiet: Duration, requests: &mut [Planned]) -> Vec<Range<Duration>> {
    let mut random = ChaCha8Rng::seed_from_u64(!seed);
    if random.random_bool(0.5) {
        return Vec::new();
    }
    let share = random.random_range(0.1..1.0);
    for planned in requests.iter_mut().filter(|planned| !matches!(planned.asked.end, End::DeadLetter(_))) {
        if planned.asked.content_type == AVRO && random.random_bool(share) {
            let id = FOREIGN_IDS.start + random.random_range(0..FOREIGN_IDS.len() as i32);
            let body = planned.asked.value.take().expect("it has a value").split_off(SINGLE_OBJECT_HEADER_BYTES);
            planned.asked.value = Some([&[0], &id.to_be_bytes()[..], &body].concat());
            planned.fingerprint = planned.record().fingerprint();
        }
    }
    let mut times = [0.0; 4].map(|_| quiet.mul_f64(random.random_range(0.0..1.0)));
    times.sort_unstable();
    let [first, second, third, last] = times;
    vec![first..second, third..last]
}

/// Some of the last records of a partition; others come to their places.
fn lose(at: Duration, requests: &mut [Planned], offsets: &mut [i64], random: &mut ChaCha8Rng) -> Option<Loss> {
    let first = requests.len() - random.random_range(1..=requests.len().clamp(1, 20));
    let location = requests.get(first)?.location;
    for planned in requests.iter_mut().filter(|planned| planned.location.partition == location.partition) {
        planned.is_lost = planned.location.offset >= location.offset;
    }
    offsets[location.partition as usize] = location.offset - 1;
    Some(Loss { at, location })
}

fn options(seed: u64, random: &mut ChaCha8Rng) -> WorldOptions {
    WorldOptions {
        seed,
        apps: APPS[..random.random_range(1..=3)].iter().map(|app| (*app).to_owned()).collect(),
        promoters: random.random_range(1..=3),
        touches_per_hour: 0.0,
        orders_per_hour: 0.0,
        history: Duration::ZERO,
        quiet_after: Some(Duration::from_secs(random.random_range(300..1800))),
        token_life: Duration::from_secs(random.random_range(400..3600)),
        faults: Level::Many,
        fault: faults(random),
        spell: Duration::from_secs(random.random_range(10..120)),
        ..WorldOptions::default()
    }
}

/// Of each fault some seeds have much more than usual.
fn faults(random: &mut ChaCha8Rng) -> Vec<FaultRate> {
    const SPELLS: [InjectedFault; 6] = [
        InjectedFault::TooFast,
        InjectedFault::Quota,
        InjectedFault::Credentials,
        InjectedFault::AddressRefused,
        InjectedFault::Banned,
        InjectedFault::Parked,
    ];
    const STROKES: [InjectedFault; 9] = [
        InjectedFault::Hang,
        InjectedFault::TooManyRequests,
        InjectedFault::TokenRejected,
        InjectedFault::TokenRevoked,
        InjectedFault::TokenError,
        InjectedFault::TryLater,
        InjectedFault::Unforeseen,
        InjectedFault::Slow,
        InjectedFault::Truncated,
    ];
    let mut rates = Vec::new();
    for (faults, chance, rate) in [(&SPELLS[..], 0.25, 0.3), (&STROKES[..], 0.1, 0.3)] {
        rates.extend(
            faults.iter().filter(|_| random.random_bool(chance)).map(|fault| FaultRate { fault: *fault, rate }),
        );
    }
    // So that the pipeline's patience comes to its end.
    let unable = [InjectedFault::Busy, InjectedFault::Error500, InjectedFault::TryLater];
    if random.random_bool(0.1) {
        rates.push(FaultRate { fault: unable[random.random_range(0..unable.len())], rate: 0.95 });
    }
    rates
}

/// Of `app`, or of any.
fn request(
    seed: u64,
    number: usize,
    at: Duration,
    app: Option<String>,
    options: &WorldOptions,
    random: &mut ChaCha8Rng,
) -> Asked {
    let is_one_of_many = app.is_some();
    let app = app.unwrap_or_else(|| options.apps[random.random_range(0..options.apps.len())].clone());
    let promoter = match random.random_range(0..100) {
        // Registered with nobody.
        0..10 => options.promoters + 10,
        _ => random.random_range(1..=options.promoters),
    };
    let flaw = number.is_multiple_of(10).then(|| (number / 10 + seed as usize * 10) % FLAWS_COUNT);
    let deadline = (flaw.is_none() && random.random_bool(0.4)).then(|| {
        let after = at + Duration::from_millis(random.random_range(1..400_000));
        UnixMillis(START.0 + i64::try_from(after.as_millis()).unwrap())
    });
    let is_long = flaw.is_none() && random.random_bool(0.04);
    let request = MaterialRequest {
        request_id: format!("request-{number}"),
        app_id: app,
        promoter_openid: format!("oSimulated{promoter:06}"),
        path: path(number) + &"x".repeat(if is_long { LONG_PATH_BYTES } else { 0 }),
        extra_info: random.random_bool(0.5).then(|| format!("campaign-{number}")),
        // Making a code takes the world long, so few ask for one.
        share_type: match random.random_range(if is_one_of_many { 3..100 } else { 0..100 }) {
            0 => None,
            1 => Some(0),
            2 => Some(3),
            3..50 => Some(1),
            _ => Some(2),
        },
        deadline,
        ..MaterialRequest::default()
    };
    let is_unauthorised = promoter > options.promoters;
    let asked = asked(request, if random.random_bool(0.5) { JSON } else { AVRO }, flaw);
    match asked.end {
        End::Succeeded if is_unauthorised => Asked { end: End::Refused("FAILED", ""), ..asked },
        _ => asked,
    }
}
