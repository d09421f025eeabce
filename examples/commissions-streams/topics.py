"""Both topics as a stranger reads them, how far the example is, and an event that nobody has shown."""

import io
import time
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import fingerprint, load_schema, to_parsing_canonical_form
from truth import orders_of

HERE = Path(__file__).resolve().parent
ORDERS, RESULTS = "promoter.orders", "promoter.commissions"
ORDER_SCHEMA = HERE.parents[1] / "schemas" / "order.avsc"
# The application.id of commissions.properties.
GROUP = "commissions"
SINGLE_OBJECT, CONFLUENT_HEADER_BYTES = b"\xc3\x01", 5


class Schema:
    def __init__(self, path):
        text = load_schema(path)
        self.schema = parse_schema(text)
        # As it stands in a value: least significant byte first.
        rabin = fingerprint(to_parsing_canonical_form(text), "CRC-64-AVRO")
        self.header = SINGLE_OBJECT + bytes.fromhex(rabin)

    def read(self, value):
        """In either framing: of schemas there is only one here, so nobody has to be asked which one an id means."""
        if value[:1] == b"\0":
            return schemaless_reader(io.BytesIO(value[CONFLUENT_HEADER_BYTES:]), self.schema, None)
        if not value.startswith(self.header):
            raise ValueError(f"not a single object of {self.schema['name']}: {value[:10].hex()}")
        return schemaless_reader(io.BytesIO(value[len(self.header) :]), self.schema, None)

    def write(self, fields):
        body = io.BytesIO()
        schemaless_writer(body, self.schema, fields)
        return self.header + body.getvalue()


class Topic:
    """All committed records of a topic, from the first on."""

    def __init__(self, bootstrap, topic, schema):
        self.bootstrap, self.topic, self.schema, self.count = bootstrap, topic, Schema(schema), 0
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": "check", "isolation.level": "read_committed",
            "enable.auto.commit": False, "enable.partition.eof": True, "fetch.wait.max.ms": 100,
        })
        self.partitions = self.wait_for_topic(60)
        self.consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in self.partitions])

    def wait_for_topic(self, limit):
        """Who writes it creates it when it starts for the first time."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            known = self.consumer.list_topics(timeout=10).topics
            if self.topic in known and known[self.topic].partitions:
                return list(known[self.topic].partitions)
            time.sleep(0.2)
        raise SystemExit(f"{self.topic} is not there")

    def poll(self, wait=0.1):
        for message in self.consumer.consume(10_000, wait):
            if message.error() is None:
                self.take(message)
            elif message.error().code() != KafkaError._PARTITION_EOF:
                print(f"consumer: {message.error()}", flush=True)

    def read_to_end(self, limit=60):
        """To the last stable offset of each partition, as it is now."""
        places = [TopicPartition(self.topic, partition) for partition in self.partitions]
        ends = {place.partition: self.consumer.get_watermark_offsets(place, timeout=10)[1] for place in places}
        deadline = time.monotonic() + limit
        while any(at.offset < ends[at.partition] for at in self.consumer.position(places) if ends[at.partition]):
            if time.monotonic() > deadline:
                raise SystemExit(f"the end of {self.topic} was not reached within {limit} s")
            self.poll()


class Orders(Topic):
    def __init__(self, bootstrap):
        super().__init__(bootstrap, ORDERS, ORDER_SCHEMA)
        self.event_ids, self.last, self.planted, self.shown = set(), {}, 0, None

    def take(self, message):
        self.event_ids.add(self.schema.read(message.value())["event_id"])
        self.count = len(self.event_ids)
        self.last[message.partition()] = message.offset()

    def are_all(self, ask):
        """Whether all that the upstream has shown is here. Called once that does not grow any more."""
        if self.shown is None:
            self.shown = len(orders_of(ask("_truth")))
        return self.count >= self.shown + self.planted


class Results(Topic):
    """The latest result of each key."""

    def __init__(self, bootstrap):
        super().__init__(bootstrap, RESULTS, HERE / "src" / "main" / "avro" / "commission.avsc")
        self.days = {}
        self.group = Consumer({"bootstrap.servers": bootstrap, "group.id": GROUP, "enable.auto.commit": False})

    def take(self, message):
        fields = self.schema.read(message.value())
        key = message.key().decode()
        if key != f"{fields['app_id']}/{fields['promoter_openid']}/{fields['day']}":
            raise ValueError(f"the key {key} is not that of {fields}")
        self.days[key] = fields["commission"]
        self.count += 1

    def behind(self, orders):
        """Partitions of orders whose last record the example has not committed, with that record's offset and the committed one.
        An offset is committed with the results of what lies before it, or not at all. As long as a transaction is open that would commit
        one, as that of an instance that was killed is for some seconds, the brokers do not tell it."""
        places = [TopicPartition(ORDERS, partition) for partition in orders.last]
        try:
            committed = {at.partition: at.offset for at in self.group.committed(places, timeout=5)}
        except KafkaException as error:
            if error.args[0].code() != KafkaError._TIMED_OUT:
                raise
            return {partition: (last, None) for partition, last in orders.last.items()}
        return {partition: (last, committed[partition]) for partition, last in orders.last.items() if committed[partition] <= last}

    def are_of(self, orders):
        return not self.behind(orders)


def plant(world, what):
    """Writes an event that the upstream has not shown, as a stranger: it must be found in the results."""
    lines = orders_of(world.ask("_truth"))
    refunded = {line["trade_no"] for line in lines if line["status"] == "REFUNDED"}
    order = next(line for line in lines if line["status"] == "PAID" and line["trade_no"] not in refunded)
    fields = {name: order.get(name) for name in ("app_id", "promoter_openid", "openid", "mch_id", "trade_no")}
    now = int(time.time() * 1000)
    fields |= {"event_id": "0" * 32, "id_kind": "OPENID", "paid_time": order["paid_time"] * 1000, "observed_at": now}
    if what == "event":
        fields |= {"trade_no": "planted", "status": "PAID", "status_code": 1, "paid_amount": 20}
    else:
        fields |= {"status": "REFUNDED", "status_code": 2, "paid_amount": order["paid_amount"], "refunded_time": now}
    value = Schema(ORDER_SCHEMA).write(fields)
    producer = Producer({"bootstrap.servers": world.bootstrap, "partitioner": "murmur2_random", "acks": "all"})
    producer.produce(ORDERS, key=f"{order['app_id']}/{order['promoter_openid']}", value=value, timestamp=now)
    producer.flush(60)
    print(f"planted: {fields}", flush=True)
