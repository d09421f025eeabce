"""The records of a topic in the order in which each partition has them, and what windows keep of them."""

import io
import json
import time
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from fastavro import parse_schema, schemaless_reader

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
SINGLE_OBJECT_HEADER_BYTES = 10


class Partitions:
    def __init__(self, bootstrap, topic, schema, wanted):
        """Of the records of `topic` those whose decoded value is `wanted`."""
        self.topic, self.wanted = topic, wanted
        self.schema = parse_schema(json.loads((SCHEMAS / f"{schema}.avsc").read_text()))
        # The times of the wanted records, in seconds, and the number of all.
        self.times, self.count = {}, 0
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": "windows", "isolation.level": "read_committed",
            "enable.auto.commit": False, "fetch.wait.max.ms": 100,
        })
        partitions = self.wait_for_topic(60)
        self.consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])

    def wait_for_topic(self, limit):
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            known = self.consumer.list_topics(timeout=10).topics
            if self.topic in known and known[self.topic].partitions:
                return list(known[self.topic].partitions)
            time.sleep(0.2)
        raise SystemExit(f"{self.topic} is not there")

    def poll(self, wait=0.2):
        for message in self.consumer.consume(10_000, wait):
            if message.error() is None:
                self.take(message)
            elif message.error().code() != KafkaError._PARTITION_EOF:
                print(f"consumer: {message.error()}", flush=True)

    def take(self, message):
        self.count += 1
        value = schemaless_reader(io.BytesIO(message.value()[SINGLE_OBJECT_HEADER_BYTES:]), self.schema, None)
        if self.wanted(value):
            self.times.setdefault(message.partition(), []).append(message.timestamp()[1] // 1000)

    def with_stream_time(self):
        """Each record's time, with the greatest that its partition has shown up to it."""
        for times in self.times.values():
            greatest = 0
            for at in times:
                greatest = max(greatest, at)
                yield at, greatest

    def latest(self):
        """How far a record lies behind its partition's time, at most."""
        return max((greatest - at for at, greatest in self.with_stream_time()), default=0)

    def kept(self, window, grace):
        """The part of the records that windows keep."""
        ended = [at - at % window + window + grace <= greatest for at, greatest in self.with_stream_time()]
        return 1 - sum(ended) / max(len(ended), 1)
