//! What a row says, drawn from its fact's seed: the same every time.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::promoter::SimPromoter;
use crate::simulator::options::{Ids, WorldOptions};

/// Why a row can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowDefect {
    MissingOpenid,
    EmptyOpenid,
    /// Without `create_time` (touch) or `paid_time` (order).
    MissingTime,
    /// Its time is a word.
    UnreadableTime,
    /// Its time lies ten years ahead.
    FutureTime,
    /// Its time counts something else than seconds.
    AncientTime,
    /// Without `paid_amount`; only orders.
    MissingAmount,
    /// No JSON, although its braces and quotes are in pairs.
    BrokenSyntax,
    /// Its `openid` is an object.
    NestedOpenid,
}

/// A text with something in it that JSON does not allow. Each letter that a reader must repair is one U+FFFD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Plain(String),
    /// Stands raw between the quotes.
    Control(char),
    /// Bytes that are no UTF-8, together one letter.
    Broken(&'static [u8]),
    /// An escape of half a pair, such as `\ud83d`.
    LoneSurrogate(u16),
}

pub struct TouchDetail {
    pub openid: String,
    pub path: Option<String>,
    pub scene: Option<i64>,
    /// What stands in place of a scene and can't be read: the row then has none.
    pub broken_scene: Option<&'static str>,
    /// Whether the row names another promoter than the one it belongs to.
    pub names_another: bool,
    /// Empty where the row has none.
    pub share_extra_info: Vec<Piece>,
    /// Whether a row of an order tells when the user came.
    pub has_create_time: bool,
    pub defect: Option<RowDefect>,
}

pub struct OrderDetail {
    pub touch: TouchDetail,
    /// Seconds from the touch to the payment.
    pub touch_before: i64,
    pub mch_id: String,
    pub trade_no: String,
    pub out_trade_no: Option<String>,
    pub paid_amount: i64,
    /// A code that is neither 1 nor 2.
    pub unknown_status: Option<i64>,
    /// The refund has no time of its own; only where there is a single one.
    pub hides_refund_time: bool,
}

const SCENES: [i64; 8] = [1007, 1008, 1011, 1036, 1044, 1047, 1129, 1154];
const UNKNOWN_SCENES: [i64; 3] = [0, 2999, 4_294_967_295];
const BROKEN_SCENES: [&str; 5] = ["[1007]", "{}", "\"poster\"", "18446744073709551615", "10.5"];
const PATHS: [&str; 5] = [
    "pages/index/index",
    "pages/goods/detail?id=",
    "pages/活动/首页",
    "packageA/pages/list?from=share&k=",
    "pages/a\"b\\c",
];
const INFOS: [&str; 5] = ["campaign-", "门店推广", "emoji 😀 ", "a/b?c=d&e=", "utm_source=wechat;"];

/// Draws what all rows of promoters have in common.
pub struct Drawer {
    pub odd_rows: f64,
    pub dead_rows: f64,
    ids: Ids,
}

impl Drawer {
    pub fn new(options: &WorldOptions) -> Drawer {
        Drawer { odd_rows: options.odd_rows, dead_rows: options.dead_rows, ids: options.ids }
    }

    pub fn touch(&self, promoter: &SimPromoter, index: usize) -> TouchDetail {
        let mut rng = promoter.seed.stream(2 * index as u64);
        let mut drawn = self.draw(&mut rng, index, false);
        self.add_oddities(&mut rng, &mut drawn);
        match promoter.shares.of(index) {
            None => drawn,
            Some(material) => TouchDetail {
                path: Some(material.path.clone()),
                share_extra_info: material.extra_info.iter().cloned().map(Piece::Plain).collect(),
                ..drawn
            },
        }
    }

    pub fn order(&self, promoter: &SimPromoter, index: usize) -> OrderDetail {
        let mut rng = promoter.seed.stream(2 * index as u64 + 1);
        let refunds = promoter.orders[index].refund_count;
        let mut touch = self.draw(&mut rng, index, true);
        // A refund would change the bytes of an unreadable row, and make another dead letter of it.
        touch.defect = touch.defect.filter(|_| refunds == 0);
        let odd = rng.random_bool(self.odd_rows);
        let alone = touch.defect.is_none() && refunds == 0;
        let stem: u64 = rng.random_range(0..10_000_000_000_000);
        let mut detail = OrderDetail {
            touch_before: rng.random_range(1..86_400),
            mch_id: (1_600_000_000 + rng.random_range(0..20)).to_string(),
            trade_no: format!("42000{stem:013}{index:010}"),
            out_trade_no: rng.random_bool(0.8).then(|| format!("SO-{stem:x}-{index}")),
            paid_amount: match rng.random_range(0..20) {
                0 => 0,
                1 => rng.random_range(100_000_000..10_000_000_000),
                _ => rng.random_range(1..100_000),
            },
            unknown_status: (odd && alone).then(|| [0, 3, 99][rng.random_range(0..3)]),
            hides_refund_time: odd && refunds == 1,
            touch,
        };
        self.add_oddities(&mut rng, &mut detail.touch);
        detail
    }

    /// What is odd about a row beside its texts. Drawn last, so that what was drawn before it stays the same.
    fn add_oddities(&self, rng: &mut ChaCha8Rng, touch: &mut TouchDetail) {
        touch.names_another = rng.random_bool(self.odd_rows / 4.0);
        if rng.random_bool(self.odd_rows / 4.0) {
            touch.scene = None;
            touch.broken_scene = Some(BROKEN_SCENES[rng.random_range(0..BROKEN_SCENES.len())]);
        }
    }

    fn draw(&self, rng: &mut ChaCha8Rng, index: usize, order: bool) -> TouchDetail {
        let odd = rng.random_bool(self.odd_rows);
        let dead = rng.random_bool(self.dead_rows);
        let initial = if self.ids == Ids::Unionid { 'u' } else { 'o' };
        let user: u64 = rng.random();
        TouchDetail {
            // As long as a real one: 28 letters.
            openid: format!("{initial}{}{user:016x}{index:010x}", if order { 'P' } else { 'T' }),
            path: rng.random_bool(0.9).then(|| {
                let path = PATHS[rng.random_range(0..PATHS.len())];
                if path.ends_with('=') { format!("{path}{}", user % 1000) } else { path.to_owned() }
            }),
            scene: match (odd, rng.random_range(0..10)) {
                (true, 0..5) => Some(UNKNOWN_SCENES[rng.random_range(0..UNKNOWN_SCENES.len())]),
                (_, 9) => None,
                _ => Some(SCENES[rng.random_range(0..SCENES.len())]),
            },
            broken_scene: None,
            names_another: false,
            share_extra_info: share_extra_info(rng, odd, user),
            has_create_time: rng.random_bool(0.95),
            defect: dead.then(|| defect(rng, order)),
        }
    }
}

fn share_extra_info(rng: &mut ChaCha8Rng, odd: bool, user: u64) -> Vec<Piece> {
    if !odd && rng.random_bool(0.3) {
        return Vec::new();
    }
    let mut pieces = vec![Piece::Plain(format!("{}{}", INFOS[rng.random_range(0..INFOS.len())], user % 97))];
    if odd {
        pieces.push(match rng.random_range(0..6) {
            0 => Piece::Control('\n'),
            1 => Piece::Control('\u{1}'),
            2 => Piece::Broken(b"\xff"),
            3 => Piece::Broken(b"\xe6\x8e"),
            4 => Piece::LoneSurrogate(0xd83d),
            _ => Piece::LoneSurrogate(0xde00),
        });
        if rng.random_bool(0.5) {
            pieces.push(Piece::Plain("末 end".to_owned()));
        }
    }
    pieces
}

fn defect(rng: &mut ChaCha8Rng, order: bool) -> RowDefect {
    match rng.random_range(0..9) {
        0 => RowDefect::MissingOpenid,
        1 => RowDefect::EmptyOpenid,
        2 => RowDefect::MissingTime,
        3 => RowDefect::UnreadableTime,
        4 => RowDefect::FutureTime,
        5 if order => RowDefect::MissingAmount,
        6 => RowDefect::NestedOpenid,
        7 => RowDefect::AncientTime,
        _ => RowDefect::BrokenSyntax,
    }
}

impl TouchDetail {
    /// `share_extra_info` as the connector publishes it.
    pub fn repaired_share_extra_info(&self) -> Option<String> {
        let letter = |piece: &Piece| match piece {
            Piece::Plain(text) => text.clone(),
            Piece::Control(letter) => letter.to_string(),
            Piece::Broken(_) | Piece::LoneSurrogate(_) => '\u{fffd}'.to_string(),
        };
        let text: String = self.share_extra_info.iter().map(letter).collect();
        (!text.is_empty()).then_some(text)
    }
}

/// What the merchant keeps about a promoter. It changes for all rows at once, old ones too.
pub struct Merchant {
    pub role_id: Option<i64>,
    pub retail_id: Option<String>,
    pub extra_info: Option<String>,
}

impl Merchant {
    pub fn at_revision(promoter: &SimPromoter, revision: u64) -> Merchant {
        let mut rng = promoter.seed.text("merchant").stream(revision);
        Merchant {
            role_id: rng.random_bool(0.9).then(|| rng.random_range(1..20)),
            retail_id: rng.random_bool(0.8).then(|| format!("{}", 1000 + rng.random_range(0..500))),
            extra_info: rng.random_bool(0.7).then(|| format!("备注 {}", rng.random_range(0..1000))),
        }
    }
}
