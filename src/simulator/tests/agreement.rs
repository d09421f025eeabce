//! The connector's own reader understands what the world writes as the truth says.

use std::collections::BTreeSet;

use serde_json::json;

use super::client::Client;
use crate::model::fact::OrderStatus;
use crate::model::row::RowKind;
use crate::model::row::{Payment, Row, Touch};
use crate::simulator::obstacles::faults::Level;
use crate::simulator::{Delivery, ShownContent, WorldOptions};
use crate::upstream::wire::{ExpectedPage, read_page};

/// One fact or unreadable row, as text that can be compared.
fn word(promoter: &str, content: &ShownContent) -> String {
    match content {
        ShownContent::DeadRow(raw) => format!("{promoter} dead {raw:?}"),
        content => format!("{promoter} {content:?}"),
    }
}

/// The touch without the words of the merchant, which are no part of the truth.
fn bare(touch: Touch) -> Touch {
    Touch { role_id: None, retail_id: None, extra_info: None, ..touch }
}

fn contents(row: Row, refunds_only: bool) -> Vec<ShownContent> {
    let (touch, payment) = match row {
        Row::Touch(create_time, touch) => return vec![ShownContent::Touch(create_time, bare(touch))],
        Row::Order(touch, payment) => (bare(touch), payment),
    };
    let order = |status, payment| ShownContent::Order { status, touch: touch.clone(), payment };
    let paid = Payment { status_code: 1, refunded_time: None, ..payment.clone() };
    match payment.status_code {
        1 => vec![order(OrderStatus::Paid, paid)],
        2 if refunds_only => vec![order(OrderStatus::Refunded, payment)],
        2 => vec![order(OrderStatus::Paid, paid), order(OrderStatus::Refunded, payment)],
        _ => vec![order(OrderStatus::Unknown, payment)],
    }
}

#[test]
fn the_reader_reads_the_odd_and_the_dead_rows_as_the_truth_tells_them() {
    for seed in 0..2 {
        let options = WorldOptions {
            seed,
            odd_rows: 0.4,
            dead_rows: 0.1,
            promoters: 5,
            orders_per_hour: 40.0,
            duplicates: 0.1,
            refund_within: std::time::Duration::from_secs(3600),
            refunds: 0.5,
            faults: Level::None,
            ..WorldOptions::default()
        };
        let mut client = Client::new(&options);
        let mut read = BTreeSet::new();
        for _ in 0..3 {
            for promoter in client.world.promoter_ids() {
                let requests = [
                    ("/promoter/getrelation", RowKind::Touch, json!({"openid": promoter}), false),
                    ("/promoter/getorder", RowKind::Order, json!({"openid": promoter}), false),
                    ("/promoter/getorder", RowKind::Order, json!({"openid": promoter, "status": 2}), true),
                ];
                for (path, kind, request, refunds_only) in requests {
                    let answer = client.post(path, &request);
                    assert_eq!(answer.delivery, Delivery::Whole);
                    let asked = ExpectedPage { kind, promoter_id: &promoter, is_first: true };
                    let (_, page) = read_page(&answer.body, asked, client.now.as_seconds()).unwrap();
                    client.world.delivered(answer.receipt);
                    for row in page.rows {
                        let shown = match row.content {
                            Ok(content) => contents(content, refunds_only),
                            Err(_) => vec![ShownContent::DeadRow(row.raw)],
                        };
                        read.extend(shown.iter().map(|content| word(&promoter, content)));
                    }
                }
            }
            client.pass(1200);
        }
        let truth = client.world.truth();
        let truth: BTreeSet<_> = truth.iter().map(|shown| word(shown.promoter.promoter_id(), &shown.content)).collect();
        let missing: Vec<_> = truth.difference(&read).take(3).collect();
        let invented: Vec<_> = read.difference(&truth).take(3).collect();
        assert!(missing.is_empty() && invented.is_empty(), "seed {seed}: missing {missing:#?}, invented {invented:#?}");
        assert!(truth.iter().any(|word| word.contains("dead")) && truth.iter().any(|word| word.contains("\u{fffd}")));
    }
}
