"""What is in the records, as fastavro says by the schemas themselves; and how that differs from what somebody else has read."""

import base64
import io
import json
import urllib.request
from datetime import datetime
from functools import cache

from fastavro import parse_schema, schemaless_reader
from fastavro.schema import fingerprint, load_schema, to_parsing_canonical_form
from parts import ROOT
from records import TOPICS

# What no record of a run needs to have: the command gives each request a deadline, and a day is seldom opened again.
NEVER = {("MaterialRequest", "deadline", None), ("LedgerDay", "closed_at", None)}


class Reference:
    """The values of each field by framing and record, in the plain form that readers write."""

    def __init__(self, found, registry):
        self.registry = registry
        if others := {path.name for path in (ROOT / "schemas").glob("*.avsc")} - {file for _, file in TOPICS.values()}:
            raise SystemExit(f"nobody writes or reads records of {others}")
        self.schemas = {name: load_schema(ROOT / "schemas" / file) for name, (_, file) in TOPICS.items()}
        self.lines = {
            (framing, name): [self.line(self.schemas[name], value) for value in values]
            for framing, records in found.items() for name, values in records.items()
        }

    def line(self, schema, value):
        # What stands in front has to be right, too: readers may go by it.
        canonical = to_parsing_canonical_form(schema)
        if value[:1] == b"\0":
            body, is_right = value[5:], registered(self.registry, int.from_bytes(value[1:5])) == canonical
        else:
            body, is_right = value[10:], value[:10] == b"\xc3\x01" + bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))
        data = io.BytesIO(body)
        fields = schemaless_reader(data, parse_schema(schema), None)
        if not is_right or data.read():
            raise SystemExit(f"not framed as a {schema['name']}: {value.hex()}")
        return {field: plain(content) for field, content in fields.items()}

    def unseen(self):
        """What no record has shown, so that nobody is tried by it: a null and another value of each field that can be null."""
        wanted = {
            (name, field["name"], kind)
            for name, schema in self.schemas.items() for field in schema["fields"] for kind in kinds(field["type"])
        }
        seen = {
            (name, field, None if content is None else "value")
            for (_, name), lines in self.lines.items() for line in lines for field, content in line.items()
        }
        return wanted - seen - NEVER


@cache
def registered(registry, schema_id):
    with urllib.request.urlopen(f"{registry}/schemas/ids/{schema_id}", timeout=30) as answer:
        return to_parsing_canonical_form(json.loads(json.load(answer)["schema"]))


def kinds(avro_type):
    return (None, "value") if isinstance(avro_type, list) else ("value",)


def plain(content):
    """Times as milliseconds, bytes in base64, everything else as it is."""
    if isinstance(content, datetime):
        return round(content.timestamp() * 1000)
    return base64.b64encode(content).decode() if isinstance(content, bytes) else content


def difference(wanted, found):
    """The first one, in words; nothing where there is none."""
    if len(wanted) != len(found):
        return f"{len(found)} of {len(wanted)} records"
    for number, (right, read) in enumerate(zip(wanted, found)):
        if right != read:
            fields = {name for name in right.keys() | read.keys() if right.get(name, "none") != read.get(name, "none")}
            return f"record {number}: " + (read.get("error") or ", ".join(sorted(fields)))
    return ""
