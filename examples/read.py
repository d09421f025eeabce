#!/usr/bin/env python3
"""Prints the records of the connector's topics as JSON lines, from the beginning on, as a consumer has to read them.

    python3 -m venv target/reader && target/reader/bin/pip install confluent-kafka fastavro
    target/reader/bin/python examples/read.py localhost:9092 promoter.orders promoter.touches
    REGISTRY=http://localhost:8081 target/reader/bin/python examples/read.py localhost:9092 promoter.orders

The second is for values that are written with `[schema_registry]`, and asks that for their schemas. A value that neither knows is printed
as its bytes. It reads without a group: any number may run at once, and each prints everything.
"""

import io
import json
import os
import sys
import urllib.request
from functools import cache
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from fastavro import parse_schema, schemaless_reader
from fastavro.schema import fingerprint, load_schema, to_parsing_canonical_form

MAGIC, CONFLUENT = b"\xc3\x01", b"\x00"


def by_fingerprint():
    """The schemas by what stands behind the magic of each value: their fingerprint, least significant byte first."""
    schemas = {}
    for path in (Path(__file__).resolve().parent.parent / "schemas").glob("*.avsc"):
        schema = load_schema(path)
        schemas[bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))] = schema
    return schemas


@cache
def registered(schema_id):
    with urllib.request.urlopen(f"{os.environ['REGISTRY']}/schemas/ids/{schema_id}", timeout=30) as answer:
        return parse_schema(json.loads(json.load(answer)["schema"]))


def decode(value, schemas):
    if value is not None and value[:1] == CONFLUENT and "REGISTRY" in os.environ:
        return schemaless_reader(io.BytesIO(value[5:]), registered(int.from_bytes(value[1:5], "big")), None)
    if value is None or value[:2] != MAGIC or value[2:10] not in schemas:
        return repr(value)
    return schemaless_reader(io.BytesIO(value[10:]), schemas[value[2:10]], None)


def partitions_of(consumer, topic):
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    if not partitions:
        sys.exit(f"there is no topic {topic}")
    return [TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions]


def main(bootstrap, *topics):
    schemas = by_fingerprint()
    consumer = Consumer({
        # The client wants a group's name. Nobody joins it: two of one group would share the records, and one that was killed keeps its
        # part for the session's time.
        "bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        # What exactly-once means for a reader: records of aborted transactions are not seen.
        "isolation.level": "read_committed",
    })
    consumer.assign([place for topic in topics for place in partitions_of(consumer, topic)])
    while True:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            print(message.error(), file=sys.stderr)
            continue
        key = message.key() and message.key().decode()
        record = {"topic": message.topic(), "key": key, "timestamp": message.timestamp()[1],
                  "value": decode(message.value(), schemas)}
        print(json.dumps(record, ensure_ascii=False, default=str), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        pass
