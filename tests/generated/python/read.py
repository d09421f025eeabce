"""Reads the records of each file by the generated class of its name, and writes what is in their fields as lines of JSON.

    python read.py RECORDS OUT REGISTRY
"""

import base64
import dataclasses
import json
import struct
import sys
import urllib.request
from datetime import datetime
from functools import cache
from pathlib import Path

import promoter
from fastavro.schema import fingerprint, to_parsing_canonical_form
from promoter import Order

KINDS = [promoter.Touch, promoter.Order, promoter.DeadLetter, promoter.MaterialRequest, promoter.MaterialResult, promoter.Promoter,
         promoter.LedgerDay]
RECORDS, OUT, REGISTRY = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]


@cache
def header(kind):
    """In front of each single object. The classes have no word for it, and fastavro finds it from their schema."""
    return b"\xc3\x01" + bytes.fromhex(fingerprint(to_parsing_canonical_form(kind.avro_schema_to_python()), "CRC-64-AVRO"))


@cache
def writer(schema_id):
    with urllib.request.urlopen(f"{REGISTRY}/schemas/ids/{schema_id}") as answer:
        return json.loads(json.load(answer)["schema"])


def decode(kind, value):
    if value[:1] == b"\0":
        [schema_id] = struct.unpack(">I", value[1:5])
        return kind.deserialize(value[5:], writer_schema=writer(schema_id))
    if not value.startswith(header(kind)):
        raise ValueError(f"written by another schema: {value[:10].hex()}")
    return kind.deserialize(value[10:])


def decode_order(value):
    """As docs/consuming.md shows it."""
    if value[:1] == b"\0":
        registered = writer(*struct.unpack(">I", value[1:5]))
        order = Order.deserialize(value[5:], writer_schema=registered)
        return order
    if not value.startswith(header(Order)):
        raise ValueError(f"written by another schema: {value[:10].hex()}")
    order = Order.deserialize(value[10:])
    return order


def plain(value):
    """Times as milliseconds, bytes in base64, everything else as it is."""
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def line(kind, value):
    try:
        record = decode_order(value) if kind is Order else decode(kind, value)
    # Whatever a library raises of bytes that it can't read.
    except Exception as error:
        return {"error": repr(error)}
    return {field.name: plain(getattr(record, field.name)) for field in dataclasses.fields(record)}


def values(path):
    with open(path, "rb") as data:
        while length := data.read(4):
            yield data.read(*struct.unpack(">I", length))


for framing in ("single", "confluent"):
    (OUT / framing).mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        with open(OUT / framing / f"{kind.__name__}.jsonl", "w") as lines:
            for value in values(RECORDS / framing / f"{kind.__name__}.bin"):
                print(json.dumps(line(kind, value)), file=lines)
