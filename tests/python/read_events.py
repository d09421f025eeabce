"""Reads the connector's records with libraries that are not its own: fastavro, confluent-kafka and Pillow.

  fingerprints   one JSON object: the CRC-64-AVRO fingerprint of each schema
  decode         framed records as lines of hex on stdin; one JSON object a line
  consume        committed records of topics, from the first until no partition has more; one JSON object
                 a line: topic, partition, offset, key, timestamp (milliseconds), value (null: a tombstone)
  images         images as lines of hex on stdin; one JSON object a line: format, width, height

Times are printed as RFC 3339, bytes as base64.
"""

import argparse
import base64
import datetime
import io
import json
import pathlib
import sys
import time

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

SINGLE_OBJECT = b"\xc3\x01"
CONFLUENT = b"\x00"
# Between two records, before the consumer gives up.
SILENCE_SECONDS_MAX = 60


def read_schemas(directory):
    schemas = [json.loads(path.read_text()) for path in sorted(pathlib.Path(directory).glob("*.avsc"))]
    return {fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"): schema for schema in schemas}


def full_name(schema):
    return f"{schema['namespace']}.{schema['name']}"


class Reader:
    def __init__(self, schemas, registry):
        self.schemas = {key: fastavro.parse_schema(schema) for key, schema in schemas.items()}
        self.deserialize = None
        if registry:
            from confluent_kafka.schema_registry import SchemaRegistryClient
            from confluent_kafka.schema_registry.avro import AvroDeserializer

            self.deserialize = AvroDeserializer(SchemaRegistryClient({"url": registry}))

    def read(self, record, topic=""):
        if record.startswith(SINGLE_OBJECT):
            schema = self.schemas[record[2:10].hex()]
            body = io.BytesIO(record[10:])
            value = fastavro.schemaless_reader(body, schema, None)
            if body.read(1):
                raise ValueError("bytes left over")
            return value
        if record.startswith(CONFLUENT) and self.deserialize:
            from confluent_kafka.serialization import MessageField, SerializationContext

            return self.deserialize(record, SerializationContext(topic, MessageField.VALUE))
        raise ValueError(f"no frame, or no registry for it: {record[:10].hex()}")


def plain(value):
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(type(value))


def show(value):
    print(json.dumps(value, default=plain, ensure_ascii=False))


def describe(image):
    from PIL import Image

    # Raises where it is not whole.
    with Image.open(io.BytesIO(image)) as opened:
        opened.load()
        return {"format": opened.format, "width": opened.width, "height": opened.height}


def consume(reader, bootstrap, topics):
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "read-events",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    unfinished = set()
    for topic in topics:
        metadata = consumer.list_topics(topic, timeout=30).topics[topic]
        if metadata.error:
            raise KafkaException(metadata.error)
        unfinished.update((topic, partition) for partition in metadata.partitions)
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for topic, partition in unfinished])
    deadline = time.monotonic() + SILENCE_SECONDS_MAX
    while unfinished:
        message = consumer.poll(1)
        if message is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing for {SILENCE_SECONDS_MAX} s, and no end of {sorted(unfinished)}")
            continue
        deadline = time.monotonic() + SILENCE_SECONDS_MAX
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                raise KafkaException(message.error())
            unfinished.discard((message.topic(), message.partition()))
            continue
        key, value = message.key(), message.value()
        show(
            {
                "topic": message.topic(),
                "partition": message.partition(),
                "offset": message.offset(),
                "key": key.decode() if key is not None else None,
                "timestamp": message.timestamp()[1],
                "value": reader.read(value, message.topic()) if value is not None else None,
            }
        )
    consumer.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["fingerprints", "decode", "consume", "images"])
    parser.add_argument("--schemas", required=True, help="directory of *.avsc")
    parser.add_argument("--registry", help="URL of a schema registry, for records in Confluent's framing")
    parser.add_argument("--bootstrap", help="brokers to consume from")
    parser.add_argument("--topics", help="topics to consume, separated by commas")
    arguments = parser.parse_args()

    schemas = read_schemas(arguments.schemas)
    if arguments.mode == "fingerprints":
        show({full_name(schema): key for key, schema in schemas.items()})
        return
    if arguments.mode == "images":
        for line in sys.stdin:
            show(describe(bytes.fromhex(line)))
        return
    reader = Reader(schemas, arguments.registry)
    if arguments.mode == "decode":
        for line in sys.stdin:
            show(reader.read(bytes.fromhex(line)))
        return
    if not arguments.bootstrap or not arguments.topics:
        parser.error("consume needs --bootstrap and --topics")
    consume(reader, arguments.bootstrap, arguments.topics.split(","))


if __name__ == "__main__":
    main()
