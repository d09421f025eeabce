"""Reads promoter.orders with confluent-kafka and fastavro until nothing has come for five seconds."""

import io
import json
import sys
from pathlib import Path

from confluent_kafka import Consumer
from fastavro import parse_schema, schemaless_reader
from fastavro.schema import fingerprint, load_schema, to_parsing_canonical_form

SCHEMA = load_schema(Path(__file__).resolve().parents[3] / "schemas" / "order.avsc")
# C3 01 and the schema's fingerprint, as `schemas list` prints it under "single object".
HEADER = b"\xc3\x01" + bytes.fromhex(fingerprint(to_parsing_canonical_form(SCHEMA), "CRC-64-AVRO"))
PARSED = parse_schema(SCHEMA)


def decode(value):
    if not value.startswith(HEADER):
        raise ValueError(f"written by another schema: {value[:10].hex()}")
    return schemaless_reader(io.BytesIO(value[len(HEADER) :]), PARSED, None)


consumer = Consumer({
    "bootstrap.servers": sys.argv[1], "group.id": "orders-python", "auto.offset.reset": "earliest",
    # The default of librdkafka, and said nevertheless: everything hangs on it.
    "isolation.level": "read_committed",
})
consumer.subscribe([sys.argv[2]])
events, ids, paid = 0, set(), 0
while True:
    # The group takes some seconds before the first one comes.
    message = consumer.poll(5 if events else 30)
    if message is None:
        break
    if message.error():
        raise SystemExit(message.error())
    order = decode(message.value())
    events += 1
    ids.add(order["event_id"])
    paid += order["paid_amount"] if order["status"] == "PAID" else 0
consumer.close()
print(json.dumps({"events": events, "ids": len(ids), "paid": paid}))
