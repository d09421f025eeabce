//! Encoding is the busiest path of the program: it must not touch the heap once its buffer has grown.

#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "an allocator that counts is made of unsafe methods"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use promoter_connector::avro::encode::{Encoders, Framings};
use promoter_connector::model::dead_letter::DeadLetter;
use promoter_connector::model::fact::Fact;
use promoter_connector::model::feed::Feed;
use promoter_connector::model::promoter::{AppId, IdKind, Promoter};
use promoter_connector::model::row::{Payment, Touch};
use promoter_connector::model::time::{UnixMillis, UnixTime};
use promoter_connector::user_ids::{PseudonymKey, UserIds};

/// The system's allocator, with a count of what this thread asked of it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn the_count_sees_an_allocation() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn a_record_is_encoded_without_an_allocation() {
    let promoter = Promoter::new(&AppId::new("wx0123456789abcdef").unwrap(), "oABC").unwrap();
    let touch =
        Touch { openid: "oUSER".into(), path: Some("pages/index".into()), scene: Some(1007), ..Touch::default() };
    let payment = Payment {
        mch_id: "1230000109".into(),
        trade_no: "4200001".into(),
        out_trade_no: Some("A1".into()),
        create_time: Some(UnixTime(1_668_614_400)),
        status_code: 2,
        paid_amount: 990,
        paid_time: UnixTime(1_668_614_400),
        refunded_time: Some(UnixTime(1_668_700_800)),
    };
    let facts = [
        Fact::touch(&promoter, UnixTime(1_668_614_400), touch.clone(), Box::default()),
        Fact::refunded(&promoter, touch, payment, Box::default()),
    ];
    let now = UnixMillis(1_668_800_000_000);
    let raw = b"{".as_slice().into();
    let letter = DeadLetter::of_row(Feed::Touches, promoter.clone(), "not_json", "column 2".into(), raw, now);

    let key = PseudonymKey::new(&"0123456789abcdef".into()).unwrap();
    for user_ids in [UserIds::Plain, UserIds::Pseudonyms(key)] {
        let encoders = Encoders::new(Framings::SINGLE_OBJECT).showing(user_ids);
        let mut buffer = Vec::with_capacity(1024);
        let count = allocations(|| {
            for fact in &facts {
                encoders.fact(fact, &promoter, IdKind::OpenId, now, &mut buffer).unwrap();
            }
            encoders.dead_letter(&letter, &mut buffer).unwrap();
        });
        assert_eq!(count, 0);
    }
}
