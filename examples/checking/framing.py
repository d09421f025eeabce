"""Values as they stand on the topics, in either framing."""

import io
import json
import urllib.request

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import fingerprint, load_schema, to_parsing_canonical_form

SINGLE_OBJECT, CONFLUENT, CONFLUENT_HEADER_BYTES = b"\xc3\x01", b"\0", 5


class Schema:
    """One of a file."""

    def __init__(self, path):
        text = load_schema(path)
        self.schema = parse_schema(text)
        # As it stands in a value: least significant byte first.
        rabin = fingerprint(to_parsing_canonical_form(text), "CRC-64-AVRO")
        self.header = SINGLE_OBJECT + bytes.fromhex(rabin)

    def read(self, value):
        """In either framing: of schemas there is only one here, so nobody has to be asked which one an id means."""
        if value[:1] == CONFLUENT:
            return schemaless_reader(io.BytesIO(value[CONFLUENT_HEADER_BYTES:]), self.schema, None)
        if not value.startswith(self.header):
            raise ValueError(f"not a single object of {self.schema['name']}: {value[:10].hex()}")
        return schemaless_reader(io.BytesIO(value[len(self.header) :]), self.schema, None)

    def write(self, fields, schema_id=None):
        """As a single object, or in Confluent's framing under the id that a registry has given."""
        body = io.BytesIO()
        schemaless_writer(body, self.schema, fields)
        header = self.header if schema_id is None else CONFLUENT + schema_id.to_bytes(4, "big")
        return header + body.getvalue()


class Registered:
    """Values of Confluent's framing by the schemas that a registry has under their ids."""

    def __init__(self, url):
        self.url, self.schemas = url, {}

    def read(self, value):
        if value[:1] != CONFLUENT:
            raise ValueError(f"not in Confluent's framing: {value[:10].hex()}")
        schema_id = int.from_bytes(value[1:CONFLUENT_HEADER_BYTES], "big")
        if schema_id not in self.schemas:
            self.schemas[schema_id] = parse_schema(json.loads(self.ask(f"schemas/ids/{schema_id}")["schema"]))
        return schemaless_reader(io.BytesIO(value[CONFLUENT_HEADER_BYTES:]), self.schemas[schema_id], None)

    def latest_id(self, topic):
        """Of the values of a topic."""
        return self.ask(f"subjects/{topic}-value/versions/latest")["id"]

    def ask(self, path):
        with urllib.request.urlopen(f"{self.url}/{path}", timeout=30) as answer:
            return json.load(answer)
