//! The wire shapes: what the schemas say, as serde sees it, borrowed from the domain.
//!
//! Fields stand in the order of the schema. Longs are `i64`, the only integer apache-avro takes for one. What takes one of a
//! few words is text: a word to come breaks no reader, and some readers can't take an enum at all.

use serde_bytes::Bytes;

use super::positional::positional_record;
use super::schemas::RecordKind;
use crate::model::day_record::{CountedDay, DayStatus};
use crate::model::dead_letter::DeadLetter;
use crate::model::fact::{Fact, FactContent, OrderStatus};
use crate::model::promoter::{IdKind, Promoter};
use crate::model::row::{Payment, Touch};
use crate::model::shard::Shard;
use crate::model::time::{UnixMillis, UnixTime};

fn id_kind_word(kind: IdKind) -> &'static str {
    match kind {
        IdKind::OpenId => "OPENID",
        IdKind::UnionId => "UNIONID",
    }
}

fn millis(time: UnixTime) -> i64 {
    time.as_millis().0
}

/// What both kinds of events are told beside their fact.
pub(super) struct Circumstances<'a> {
    pub event_id: &'a str,
    pub promoter: &'a Promoter,
    pub id_kind: IdKind,
    pub observed_at: UnixMillis,
}

/// A fact in the shape of its topic.
pub(super) enum EventRecord<'a> {
    Touch(TouchRecord<'a>),
    Order(OrderRecord<'a>),
}

impl<'a> EventRecord<'a> {
    /// The user is shown as `user_id`.
    pub fn of(fact: &'a Fact, circumstances: Circumstances<'a>, user_id: &'a str) -> EventRecord<'a> {
        match &fact.content {
            FactContent::Touch(touch) => EventRecord::Touch(TouchRecord::of(fact.time, touch, user_id, circumstances)),
            FactContent::Order { status, touch, payment } => {
                EventRecord::Order(OrderRecord::of(*status, touch, user_id, payment, circumstances))
            }
        }
    }
}

positional_record! {
    RecordKind::Touch:
    pub(super) struct TouchRecord<'a> {
        event_id: &'a str,
        app_id: &'a str,
        id_kind: &'static str,
        promoter_openid: &'a str,
        role_id: Option<i64>,
        retail_id: Option<&'a str>,
        extra_info: Option<&'a str>,
        openid: &'a str,
        create_time: i64,
        path: Option<&'a str>,
        scene: Option<i64>,
        share_extra_info: Option<&'a str>,
        observed_at: i64,
    }
}

impl<'a> TouchRecord<'a> {
    /// `time` is the fact's, which for a touch is `create_time`.
    fn of(time: UnixTime, touch: &'a Touch, user_id: &'a str, circumstances: Circumstances<'a>) -> TouchRecord<'a> {
        TouchRecord {
            event_id: circumstances.event_id,
            app_id: circumstances.promoter.app_id(),
            id_kind: id_kind_word(circumstances.id_kind),
            promoter_openid: circumstances.promoter.promoter_id(),
            role_id: touch.role_id,
            retail_id: touch.retail_id.as_deref(),
            extra_info: touch.extra_info.as_deref(),
            openid: user_id,
            create_time: millis(time),
            path: touch.path.as_deref(),
            scene: touch.scene,
            share_extra_info: touch.share_extra_info.as_deref(),
            observed_at: circumstances.observed_at.0,
        }
    }
}

positional_record! {
    RecordKind::Order:
    pub(super) struct OrderRecord<'a> {
        event_id: &'a str,
        app_id: &'a str,
        id_kind: &'static str,
        promoter_openid: &'a str,
        role_id: Option<i64>,
        retail_id: Option<&'a str>,
        extra_info: Option<&'a str>,
        openid: &'a str,
        create_time: Option<i64>,
        path: Option<&'a str>,
        scene: Option<i64>,
        share_extra_info: Option<&'a str>,
        mch_id: &'a str,
        trade_no: &'a str,
        out_trade_no: Option<&'a str>,
        status: &'static str,
        status_code: i64,
        paid_amount: i64,
        paid_time: i64,
        refunded_time: Option<i64>,
        observed_at: i64,
    }
}

impl<'a> OrderRecord<'a> {
    fn of(
        status: OrderStatus,
        touch: &'a Touch,
        user_id: &'a str,
        payment: &'a Payment,
        circumstances: Circumstances<'a>,
    ) -> OrderRecord<'a> {
        OrderRecord {
            event_id: circumstances.event_id,
            app_id: circumstances.promoter.app_id(),
            id_kind: id_kind_word(circumstances.id_kind),
            promoter_openid: circumstances.promoter.promoter_id(),
            role_id: touch.role_id,
            retail_id: touch.retail_id.as_deref(),
            extra_info: touch.extra_info.as_deref(),
            openid: user_id,
            create_time: payment.create_time.map(millis),
            path: touch.path.as_deref(),
            scene: touch.scene,
            share_extra_info: touch.share_extra_info.as_deref(),
            mch_id: &payment.mch_id,
            trade_no: &payment.trade_no,
            out_trade_no: payment.out_trade_no.as_deref(),
            status: status.word(),
            status_code: payment.status_code,
            paid_amount: payment.paid_amount,
            paid_time: millis(payment.paid_time),
            refunded_time: payment.refunded_time.map(millis),
            observed_at: circumstances.observed_at.0,
        }
    }
}

positional_record! {
    RecordKind::DeadLetter:
    pub(super) struct DeadLetterRecord<'a> {
        source: &'a str,
        reason: &'a str,
        detail: &'a str,
        app_id: Option<&'a str>,
        promoter_openid: Option<&'a str>,
        topic: Option<&'a str>,
        partition: Option<i32>,
        offset: Option<i64>,
        raw: &'a Bytes,
        observed_at: i64,
    }
}

impl<'a> From<&'a DeadLetter> for DeadLetterRecord<'a> {
    fn from(letter: &'a DeadLetter) -> DeadLetterRecord<'a> {
        let origin = letter.origin.as_ref();
        DeadLetterRecord {
            source: letter.source.name(),
            reason: letter.reason,
            detail: &letter.detail,
            app_id: letter.promoter.as_ref().map(Promoter::app_id),
            promoter_openid: letter.promoter.as_ref().map(Promoter::promoter_id),
            topic: origin.map(|origin| origin.topic.as_str()),
            partition: origin.map(|origin| origin.partition),
            offset: origin.map(|origin| origin.offset),
            raw: Bytes::new(&letter.raw),
            observed_at: letter.observed_at.0,
        }
    }
}

positional_record! {
    RecordKind::LedgerDay:
    pub(super) struct LedgerDayRecord<'a> {
        app_id: &'a str,
        feed: &'static str,
        day: &'a str,
        empty_since: &'a str,
        shard: i32,
        closed_at: Option<i64>,
        published: i64,
        dead_letters: i64,
        duplicates: i64,
        promoters: i64,
    }
}

impl<'a> LedgerDayRecord<'a> {
    /// The day, and the first one that it speaks for, are shown as `on` and `since`.
    pub fn of(day: &'a CountedDay, shard: Shard, on: &'a str, since: &'a str) -> LedgerDayRecord<'a> {
        let DayStatus { counts, closed_at, .. } = day.status;
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        LedgerDayRecord {
            app_id: &day.key.app,
            feed: day.key.feed.name(),
            day: on,
            empty_since: since,
            shard: shard.0,
            closed_at: closed_at.map(|time| time.0),
            published: count(counts.published),
            dead_letters: count(counts.dead_letters),
            duplicates: count(counts.duplicates),
            promoters: count(day.promoters),
        }
    }
}
