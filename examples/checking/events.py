"""The connector's topics of events, how far a group has come in them, and events that nobody has shown."""

import time
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from framing import Schema
from topic import Topic
from truth import lines_of, orders_of

TOPICS = {"order": "promoter.orders", "touch": "promoter.touches"}


def schema_of(kind):
    return Schema(Path(__file__).resolve().parents[2] / "schemas" / f"{kind}.avsc")


class Events(Topic):
    def __init__(self, bootstrap, kind):
        super().__init__(bootstrap, TOPICS[kind])
        self.kind, self.schema = kind, schema_of(kind)
        self.event_ids, self.last, self.planted, self.shown = set(), {}, 0, None

    def take(self, message):
        self.event_ids.add(self.schema.read(message.value())["event_id"])
        self.count = len(self.event_ids)
        self.last[message.partition()] = message.offset()

    def are_all(self, ask):
        """Whether all that the upstream has shown is here, and what was planted. Called once the upstream shows nothing new any more."""
        if self.shown is None:
            self.shown = sum(line["kind"] == self.kind for line in lines_of(ask("_truth")))
        return self.count >= self.shown + self.planted


class Latest(Topic):
    """The latest value of each key, as a table is kept on a topic."""

    def __init__(self, bootstrap, topic, kind):
        super().__init__(bootstrap, topic)
        self.schema, self.rows = schema_of(kind), {}

    def take(self, message):
        if message.value() is None:
            self.rows.pop(message.key(), None)
        else:
            self.rows[message.key()] = self.schema.read(message.value())


class Progress:
    """How far a consumer group has come. Closed like a topic, and for its reason."""

    def __init__(self, bootstrap, group):
        self.group = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.group.close()

    def behind(self, read):
        """Partitions of a topic whose last record the group has not committed, with that record's offset and the committed one. An
        offset is committed with the results of what lies before it, or not at all. As long as a transaction is open that would commit
        one, as that of an instance that was killed is for some seconds, the brokers do not tell it."""
        places = [TopicPartition(read.topic, partition) for partition in read.last]
        try:
            committed = {at.partition: at.offset for at in self.group.committed(places, timeout=5)}
        except KafkaException as error:
            if error.args[0].code() != KafkaError._TIMED_OUT:
                raise
            return {partition: (last, None) for partition, last in read.last.items()}
        return {partition: (last, committed[partition]) for partition, last in read.last.items() if committed[partition] <= last}


def stray_order(lines, what):
    """The fields of an order that the upstream's truth does not have: a payment of 20 fen (`event`), or a refund of a paid order. Of less than
    20 fen there is no commission, so that a refund would change nothing, and nobody could find it."""
    orders = orders_of(lines)
    refunded = {line["trade_no"] for line in orders if line["status"] == "REFUNDED"}
    order = next(line for line in orders if line["status"] == "PAID" and line["trade_no"] not in refunded and line["paid_amount"] >= 20)
    fields = {name: order.get(name) for name in ("app_id", "promoter_openid", "openid", "mch_id", "trade_no")}
    now = int(time.time() * 1000)
    fields |= {"id_kind": "OPENID", "paid_time": order["paid_time"] * 1000, "observed_at": now}
    if what == "event":
        return fields | {"event_id": "0" * 32, "trade_no": "planted", "status": "PAID", "status_code": 1, "paid_amount": 20}
    fields |= {"event_id": "1" * 32, "status": "REFUNDED", "status_code": 2}
    return fields | {"paid_amount": order["paid_amount"], "refunded_time": now}


def refund_an_order(orders, lines, plant, schema_id=None):
    """Writes the refund of a paid order, and before it, in the same partition, a payment that is aborted: nobody may see it who reads what is
    committed. What the upstream would tell then. Planted (`event`, `refund`), the payment is committed, or the refund is not told."""
    payment, refund = stray_order(lines, "event"), stray_order(lines, "refund")
    publish(orders.bootstrap, "order", payment, schema_id, commit=plant == "event")
    publish(orders.bootstrap, "order", refund, schema_id)
    orders.planted += 1 + (plant == "event")
    told = refund | {"kind": "order", "paid_time": refund["paid_time"] // 1000, "refunded_time": refund["refunded_time"] // 1000}
    return lines if plant == "refund" else [*lines, told]


def publish(bootstrap, kind, fields, schema_id=None, commit=True):
    """Writes an event, as a stranger, in a transaction of its own: under the connector's key, which decides on the partition."""
    value, topic = schema_of(kind).write(fields, schema_id), TOPICS[kind]
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": "stray", "partitioner": "murmur2_random"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, key=f"{fields['app_id']}/{fields['promoter_openid']}", value=value, timestamp=fields["observed_at"])
    if producer.flush(30):
        raise SystemExit(f"{topic} did not take {fields} within 30 s")
    producer.commit_transaction(30) if commit else producer.abort_transaction(30)
    print(f"{'planted' if commit else 'aborted'}: {fields}", flush=True)
