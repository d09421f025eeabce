"""What the commissions have to be, by the upstream's own word, and what a stranger reads of them."""

import io
import json
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka import OFFSET_BEGINNING, KafkaError
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import fingerprint, load_schema, to_parsing_canonical_form

HERE = Path(__file__).resolve().parent
BEIJING = timezone(timedelta(hours=8))
ORDERS, RESULTS = "promoter.orders", "promoter.commissions"
SINGLE_OBJECT = b"\xc3\x01"


def day_of(seconds):
    return datetime.fromtimestamp(seconds, BEIJING).date().isoformat()


def expected(text, basis_points):
    """Fen by promoter and day, and how many refunds came on a later day than their payment."""
    paid, refunded, late = {}, set(), 0
    for line in map(json.loads, text.splitlines()):
        if line["kind"] != "order":
            continue
        promoter = f"{line['app_id']}/{line['promoter_openid']}"
        order, day = (promoter, line["mch_id"], line["trade_no"]), day_of(line["paid_time"])
        if line["status"] == "PAID":
            paid[order] = (f"{promoter}/{day}", line["paid_amount"] * basis_points // 10_000)
        elif line["status"] == "REFUNDED":
            refunded.add(order)
            late += line["refunded_time"] is not None and day_of(line["refunded_time"]) > day
    days = Counter()
    for order, (key, fen) in paid.items():
        days[key] += 0 if order in refunded else fen
    return days, late


def differences(where, truth, found):
    """A day that nobody speaks of earns nothing."""
    keys = sorted(key for key in truth.keys() | found.keys() if truth.get(key, 0) != found.get(key, 0))
    return [f"{where}: {key} is {found.get(key, 0)} fen and has to be {truth.get(key, 0)}" for key in keys]


class Schema:
    def __init__(self, path):
        text = load_schema(path)
        self.schema = parse_schema(text)
        # As it stands in a value: least significant byte first.
        rabin = fingerprint(to_parsing_canonical_form(text), "CRC-64-AVRO")
        self.header = SINGLE_OBJECT + bytes.fromhex(rabin)

    def read(self, value):
        if not value.startswith(self.header):
            raise ValueError(f"not a single object of {self.schema['name']}: {value[:10].hex()}")
        return schemaless_reader(io.BytesIO(value[len(self.header) :]), self.schema, None)

    def write(self, fields):
        body = io.BytesIO()
        schemaless_writer(body, self.schema, fields)
        return self.header + body.getvalue()


class Results:
    """The latest result of each key, for a reader of committed records."""

    def __init__(self, bootstrap):
        self.days, self.count = {}, 0
        self.schema = Schema(HERE / "src" / "main" / "avro" / "commission.avsc")
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": "check", "isolation.level": "read_committed",
            "enable.auto.commit": False, "enable.partition.eof": True,
        })
        self.partitions = self.wait_for_topic(60)
        self.consumer.assign([TopicPartition(RESULTS, partition, OFFSET_BEGINNING) for partition in self.partitions])

    def wait_for_topic(self, limit):
        """The example creates it when it starts for the first time."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            known = self.consumer.list_topics(timeout=10).topics
            if RESULTS in known and known[RESULTS].partitions:
                return list(known[RESULTS].partitions)
            time.sleep(0.2)
        raise SystemExit(f"{RESULTS} is not there")

    def poll(self, wait=0.5):
        """How many results came."""
        before = self.count
        for message in self.consumer.consume(10_000, wait):
            if message.error() is None:
                self.take(message.key().decode(), self.schema.read(message.value()))
            elif message.error().code() != KafkaError._PARTITION_EOF:
                print(f"consumer: {message.error()}", flush=True)
        return self.count - before

    def poll_all(self):
        while self.poll(3):
            pass

    def take(self, key, fields):
        if key != f"{fields['app_id']}/{fields['promoter_openid']}/{fields['day']}":
            raise ValueError(f"the key {key} is not that of {fields}")
        self.days[key] = fields["commission"]
        self.count += 1


def plant(world, what):
    """Writes an event that the upstream has not shown, as a stranger: it must be found in the results."""
    lines = [line for line in map(json.loads, world.ask("_truth").splitlines()) if line["kind"] == "order"]
    refunded = {line["trade_no"] for line in lines if line["status"] == "REFUNDED"}
    order = next(line for line in lines if line["status"] == "PAID" and line["trade_no"] not in refunded)
    fields = {name: order.get(name) for name in ("app_id", "promoter_openid", "openid", "mch_id", "trade_no")}
    now = int(time.time() * 1000)
    fields |= {"event_id": "0" * 32, "id_kind": "OPENID", "paid_time": order["paid_time"] * 1000, "observed_at": now}
    if what == "event":
        fields |= {"trade_no": "planted", "status": "PAID", "status_code": 1, "paid_amount": 20}
    else:
        fields |= {"status": "REFUNDED", "status_code": 2, "paid_amount": order["paid_amount"], "refunded_time": now}
    value = Schema(HERE.parents[1] / "schemas" / "order.avsc").write(fields)
    producer = Producer({"bootstrap.servers": world.bootstrap, "partitioner": "murmur2_random", "acks": "all"})
    producer.produce(ORDERS, key=f"{order['app_id']}/{order['promoter_openid']}", value=value, timestamp=now)
    producer.flush(60)
    print(f"planted: {fields}", flush=True)
