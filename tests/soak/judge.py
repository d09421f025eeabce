"""The outside judge: a consumer and a reader of Avro that share no code with the connector."""

import base64
import io
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from fastavro import parse_schema, schemaless_reader
from fastavro.schema import fingerprint, to_parsing_canonical_form

TOPICS = ["promoter.touches", "promoter.orders", "promoter.dead-letters"]
SCHEMAS = ["touch", "order", "dead-letter"]
# The fields that a fact consists of. What the merchant may edit later and what the connector adds are left out.
TOUCH = ["app_id", "promoter_openid", "openid", "create_time", "path", "scene", "share_extra_info"]
ORDER = TOUCH + ["mch_id", "trade_no", "out_trade_no", "status", "status_code", "paid_amount", "paid_time", "refunded_time"]
SINGLE_OBJECT = b"\xc3\x01"


def truth(text):
    """The facts in the lines of the simulator's /_truth."""
    facts = Counter()
    for line in map(json.loads, text.splitlines()):
        if line["kind"] == "dead_row":
            facts[dead(line, base64.b64decode(line["raw_base64"]))] += 1
        else:
            facts[tuple(line[name] for name in (ORDER if line["kind"] == "order" else TOUCH))] += 1
    return facts


def dead(fields, raw):
    return ("dead row", fields["app_id"], fields["promoter_openid"], raw)


def seconds(value):
    """The upstream knows whole seconds only."""
    if hasattr(value, "timestamp"):
        if value.microsecond:
            raise ValueError(f"the time {value} has a fraction")
        return int(value.timestamp())
    return value


class Found:
    """Everything that a read_committed consumer has been shown."""

    def __init__(self, bootstrap, schemas: Path):
        self.bootstrap = bootstrap
        self.facts = Counter()
        self.event_ids = Counter()
        self.schemas = {}
        for name in SCHEMAS:
            schema = json.loads((schemas / f"{name}.avsc").read_text())
            rabin = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
            self.schemas[bytes.fromhex(rabin)] = parse_schema(schema)
        self.consumer = self.client("read_committed")
        self.partitions = self.wait_for_topics(60)
        self.consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for topic, partition in self.partitions])

    def client(self, isolation):
        return Consumer({
            "bootstrap.servers": self.bootstrap, "group.id": f"outside-{isolation}", "isolation.level": isolation,
            "enable.auto.commit": False, "enable.partition.eof": True, "fetch.wait.max.ms": 100,
        })

    def wait_for_topics(self, limit):
        """The connector creates them when it starts for the first time."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            known = self.consumer.list_topics(timeout=10).topics
            if all(topic in known and known[topic].partitions for topic in TOPICS):
                return [(topic, partition) for topic in TOPICS for partition in known[topic].partitions]
            time.sleep(0.2)
        raise SystemExit(f"the topics {TOPICS} are not there")

    def count(self):
        return sum(self.facts.values())

    def poll(self, wait=0.1):
        for message in self.consumer.consume(10_000, wait):
            if message.error() is None:
                self.take(message.value())
            elif message.error().code() != KafkaError._PARTITION_EOF:
                print(f"consumer: {message.error()}", flush=True)

    def take(self, value):
        if value[:2] != SINGLE_OBJECT:
            raise ValueError(f"not a single object: {value[:10].hex()}")
        # fastavro gives the fingerprint in the order of the wire: little-endian.
        schema = self.schemas[value[2:10]]
        body = io.BytesIO(value[10:])
        fields = schemaless_reader(body, schema, None)
        if body.read(1):
            raise ValueError("bytes behind the record")
        if "raw" in fields:
            self.facts[dead(fields, fields["raw"])] += 1
            return
        self.facts[tuple(seconds(fields[name]) for name in (ORDER if "mch_id" in fields else TOUCH))] += 1
        self.event_ids[fields["event_id"]] += 1

    def read_to_end(self, limit=60):
        """Up to the end as read_uncommitted sees it: EOF also comes below an open transaction."""
        outsider = self.client("read_uncommitted")
        ends = {}
        for topic, partition in self.partitions:
            ends[topic, partition] = outsider.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)[1]
        outsider.close()
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            self.poll()
            positions = self.consumer.position([TopicPartition(*place) for place in self.partitions])
            if all(at.offset >= ends[at.topic, at.partition] or not ends[at.topic, at.partition] for at in positions):
                return
        raise SystemExit("the end of the topics was not reached: is a transaction still open?")


@dataclass
class Verdict:
    shown: int
    published: int
    missing: Counter
    twice: Counter
    foreign: Counter
    same_id: list

    def is_exact(self):
        return not (self.missing or self.twice or self.foreign or self.same_id)

    def __str__(self):
        lines = [
            f"shown {self.shown}, published {self.published}, missing {self.missing.total()}, "
            f"twice {self.twice.total()}, foreign {self.foreign.total()}, one id for two events {len(self.same_id)}"
        ]
        for kind in ("missing", "twice", "foreign"):
            lines += [f"  {kind}: {fact}" for fact in list(getattr(self, kind))[:5]]
        return "\n".join(lines + [f"  one id: {event_id}" for event_id in self.same_id[:5]])


def compare(shown, found):
    over = found.facts - shown
    return Verdict(
        shown=shown.total(),
        published=found.count(),
        missing=shown - found.facts,
        twice=Counter({fact: count for fact, count in over.items() if fact in shown}),
        foreign=Counter({fact: count for fact, count in over.items() if fact not in shown}),
        same_id=[event_id for event_id, count in found.event_ids.items() if count > 1],
    )
