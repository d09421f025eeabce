#!/usr/bin/env python3
"""Compares a day's orders on the topic with the merchants' own bills of WeChat Pay for that day.

    python3 -m venv env && env/bin/pip install -r requirements.txt
    env/bin/python reconcile.py --bootstrap localhost:9092 --day 2026-11-26 bill-1600000001.csv bill-1600000002.csv

Ends with 0 where nothing is wrong, 1 where something is, 2 where nothing can be said: a bill can't be read or is of another day, the topic
can't be read or has no order of the day. Payments that no promoter has are counted: a shop sells without promoters, too.
"""

import argparse
import io
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from bill import day_of_beijing, read_all, yuan

try:
    from confluent_kafka import Consumer, KafkaError, TopicPartition
    from fastavro import parse_schema, schemaless_reader
    from fastavro.schema import fingerprint, load_schema, to_parsing_canonical_form
except ImportError as error:
    print(f"{error}: install requirements.txt", file=sys.stderr)
    # Python's own exit code would be 1, which says that something is wrong with the orders.
    sys.exit(2)

BEIJING = timezone(timedelta(hours=8))
SCHEMA = Path(__file__).resolve().parents[2] / "schemas" / "order.avsc"
ORDER = load_schema(SCHEMA)
HEADER = b"\xc3\x01" + bytes.fromhex(fingerprint(to_parsing_canonical_form(ORDER), "CRC-64-AVRO"))
# How far ahead of the clock a fact may lie. Its record then has the time of publishing, which is as much earlier.
AHEAD_MAX = timedelta(days=1)
# Without an answer for so long the brokers count as away.
SILENCE_SECONDS_MAX = 30
MEANINGS = {
    "no_bill": "promoter, and the bills have no line of the merchant",
    "no_payment": "promoter, and no payment in the bill",
    "amount": "another amount than in the bill",
    "no_refund": "refunded by the topic, and no refund in the bill",
    "no_refund_event": "refunded in the bill, and not by the topic",
    "two_promoters": "paid to more than one promoter",
    "unknown": "promoter and payment, and of a status that nobody knows",
}


class TopicError(Exception):
    """The topic can't be compared with anything: why."""


def begin_of(day):
    return datetime.combine(day, datetime.min.time(), BEIJING)


def read_topic(bootstrap, topic, since):
    """All committed orders of facts since then, and some before, each with its record's time, to the end as it is now.

    A payment's record has the time of the payment, however late it came, or that of publishing where the payment was still to come by
    the clock of the connector's host. So none stands before the first offset with a time of a day before.
    """
    schema = parse_schema(ORDER)
    earliest = int((since - AHEAD_MAX).timestamp() * 1000)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reconcile", "enable.auto.commit": False,
                         "isolation.level": "read_committed", "enable.partition.eof": True,
                         # What keeps it from reading is told once, by the exception, and not in a line for each try to connect.
                         "log_level": 2})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    if not partitions:
        raise TopicError("there is no such topic")
    wanted = consumer.offsets_for_times([TopicPartition(topic, number, earliest) for number in partitions], timeout=30)
    # Of a partition without such a record the end is told: there is nothing to read.
    unfinished = {place.partition for place in wanted if place.offset >= 0}
    consumer.assign([place for place in wanted if place.offset >= 0])
    silent_since = time.monotonic()
    while unfinished:
        message = consumer.poll(0.2)
        if message is None:
            if time.monotonic() > silent_since + SILENCE_SECONDS_MAX:
                raise TopicError(f"nothing comes for {SILENCE_SECONDS_MAX} s")
            continue
        silent_since = time.monotonic()
        if message.error() is None:
            yield decode(message.value(), schema), datetime.fromtimestamp(message.timestamp()[1] / 1000, BEIJING)
        elif message.error().code() == KafkaError._PARTITION_EOF:
            unfinished.discard(message.partition())
        else:
            raise TopicError(message.error().str())


def decode(value, schema):
    """An Avro single object; where the connector has a schema registry, put confluent-kafka's AvroDeserializer here."""
    if not value.startswith(HEADER):
        raise TopicError(f"a value of another schema or frame: {value[:10].hex()}")
    return schemaless_reader(io.BytesIO(value[len(HEADER) :]), schema, None)


@dataclass
class Day:
    """The orders that the topic has of a day, with their events: paid on it, refunded on it, and of an unknown status with that payment's day."""

    payments: dict = field(default_factory=dict)
    refunds: dict = field(default_factory=dict)
    unknown: dict = field(default_factory=dict)

    def orders(self):
        return self.payments.keys() | self.refunds.keys() | self.unknown.keys()


def of_day(events, day):
    found = Day()
    for event, recorded in events:
        refunded = event["status"] == "REFUNDED"
        part = found.refunds if refunded else found.payments if event["status"] == "PAID" else found.unknown
        time_of = event["refunded_time"] or recorded if refunded else event["paid_time"]
        if time_of.astimezone(BEIJING).date() == day:
            part.setdefault((event["mch_id"], event["trade_no"]), []).append(event)
    return found


def differences(bill, found):
    """What is wrong: the kind, the order, and words."""
    without_bill = {order for order in found.orders() if order[0] not in bill.merchants}
    for order in without_bill:
        [event, *_] = found.payments.get(order) or found.refunds.get(order) or found.unknown[order]
        yield "no_bill", order, f"{event['promoter_openid']}, {yuan(event['paid_amount'])}, {event['status']}"
    payments, refunds = ({order: part[order] for order in part.keys() - without_bill} for part in (found.payments, found.refunds))
    for order in found.unknown.keys() & bill.payments.keys() - payments.keys():
        [event, *_] = found.unknown[order]
        yield "unknown", order, f"{event['promoter_openid']}, {yuan(bill.payments[order])}, status {event['status_code']}"
    for order, events in payments.items():
        promoters = sorted({event["promoter_openid"] for event in events})
        paid, billed = events[0]["paid_amount"], bill.payments.get(order)
        if billed is None:
            yield "no_payment", order, f"{promoters[0]}, {yuan(paid)}"
        elif billed != paid:
            yield "amount", order, f"{yuan(paid)} by the topic, {yuan(billed)} by the bill"
        if len(promoters) > 1:
            yield "two_promoters", order, ", ".join(promoters)
    for order in refunds.keys() - bill.refunds.keys():
        yield "no_refund", order, refunds[order][0]["promoter_openid"]
    # Of an order that was paid on another day it is not known here whether a promoter has it.
    for order in (bill.refunds.keys() - refunds.keys()) & payments.keys():
        yield "no_refund_event", order, f"{yuan(bill.refunds[order])} refunded"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bills", nargs="+", type=Path, help="CSV, one for each merchant: the tradebill of type ALL")
    parser.add_argument("--bootstrap", required=True, help="HOST:PORT of a broker")
    parser.add_argument("--day", required=True, type=day_of_beijing, help="of Beijing")
    parser.add_argument("--topic", default="promoter.orders")
    parser.add_argument("--json", action="store_true", help="one object")
    options = parser.parse_args()
    bill = read_all(options.bills, options.day)
    if bill is None:
        return 2

    try:
        of_topic = of_day(read_topic(options.bootstrap, options.topic, begin_of(options.day)), options.day)
        if not of_topic.orders():
            # Nothing would be compared, and nothing be found wrong.
            raise TopicError(f"no order of {options.day}: is it the right topic and day, and was it published?")
    # Whatever a broker or a value does: an exception that nobody catches would end this with 1, as if it had found something.
    except Exception as error:
        print(f"{options.topic} at {options.bootstrap}: {str(error) or repr(error)}", file=sys.stderr)
        return 2
    found = sorted(differences(bill, of_topic))
    alone = bill.payments.keys() - of_topic.payments.keys() - of_topic.unknown.keys()
    promoted = len(of_topic.payments)
    if options.json:
        rows = [{"kind": kind, "mch_id": order[0], "trade_no": order[1], "text": text} for kind, order, text in found]
        print(json.dumps({"paid_with_promoter": promoted, "paid_without_promoter": sorted(trade for _, trade in alone),
                          "differences": rows}, ensure_ascii=False))
    else:
        print(f"{options.day}: {len(bill.payments)} payments in {len(options.bills)} bills, {len(alone)} of them without "
              f"a promoter ({yuan(sum(bill.payments[order] for order in alone))}); {promoted} by promoters on the topic")
        for kind, order, text in found:
            print(f"  {MEANINGS[kind]}: {order[0]} {order[1]}: {text}")
        print(dict(Counter(kind for kind, _, _ in found)) or "nothing is wrong")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
