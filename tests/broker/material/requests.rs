//! What is asked: Avro and JSON by turns, and every tenth request with one of many flaws.

use std::ops::Range;
use std::time::Duration;

use anyhow::Result;
use promoter_connector::model::material::MaterialRequest;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::harness::client;
use crate::harness::context::Context;
use crate::harness::requests::{self, AVRO, Asked, JSON};

const FLUSH_BOUND: Duration = Duration::from_secs(30);

/// The request of this number, always the same. Its `request_id` tells the number, unless that is its flaw.
pub fn asked(number: usize) -> Asked {
    let request = MaterialRequest {
        request_id: format!("request-{number}"),
        app_id: "wx_simulated".into(),
        promoter_openid: promoter(number),
        path: "pages/index".into(),
        extra_info: Some(format!("campaign-{number}")),
        ..MaterialRequest::default()
    };
    let flaw = number.is_multiple_of(10).then_some(number / 10 % requests::FLAWS_COUNT);
    let content_type = if (number / 3).is_multiple_of(2) { JSON } else { AVRO };
    requests::asked(request, content_type, flaw)
}

/// Under whose key the request stands: flaws and promoters have no common rhythm, so every partition has of both.
pub fn key(number: usize) -> String {
    format!("wx_simulated/{}", promoter(number))
}

fn promoter(number: usize) -> String {
    format!("oSimulated{:06}", number % 9 + 1)
}

/// The headers of a request, in their order.
pub fn headers(number: usize) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("trace", vec![0xFF, 0, (number % 256) as u8]),
        ("content-type", asked(number).content_type.into()),
        ("correlation-id", number.to_string().into_bytes()),
    ]
}

/// Puts the requests of these numbers, and waits until they are there.
pub fn put(context: &Context, numbers: Range<usize>) -> Result<()> {
    let topic = context.topics().name("material.requests");
    let producer: BaseProducer = client::config(context.bootstrap()).create()?;
    for number in numbers {
        let headers = headers(number)
            .into_iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(&value) }));
        let (key, asked) = (key(number), asked(number));
        let mut record = BaseRecord::to(&topic).key(&key).headers(headers);
        record.payload = asked.value.as_ref();
        producer.send(record).map_err(|(error, _)| error)?;
    }
    Ok(producer.flush(FLUSH_BOUND)?)
}
