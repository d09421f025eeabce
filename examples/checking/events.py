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
        # By event ids: how often an event comes is not counted, but which it was is kept, to be written again.
        self.records, self.last, self.planted, self.shown = {}, {}, 0, None

    def take(self, message):
        record = message.key(), message.value(), message.timestamp()[1]
        self.records.setdefault(self.schema.read(message.value())["event_id"], record)
        self.count = len(self.records)
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
    order = earning(lines)[0]
    if what == "event":
        return payment(order, "0") | {"trade_no": "stray", "paid_amount": 20}
    fields = payment(order, "1")
    return fields | {"status": "REFUNDED", "status_code": 2, "refunded_time": fields["observed_at"]}


def earning(lines):
    """The payments that nobody has refunded, of 20 fen or more."""
    orders = orders_of(lines)
    refunded = {line["trade_no"] for line in orders if line["status"] == "REFUNDED"}
    return [line for line in orders if line["status"] == "PAID" and line["trade_no"] not in refunded and line["paid_amount"] >= 20]


def payment(line, digit):
    """The fields of an event that says what a line of the truth says, but for when the user came; under an id of that digit."""
    fields = {name: line.get(name) for name in ("app_id", "promoter_openid", "openid", "mch_id", "trade_no", "paid_amount")}
    fields |= {"event_id": digit * 32, "id_kind": "OPENID", "status": "PAID", "status_code": 1}
    return fields | {"paid_time": line["paid_time"] * 1000, "observed_at": int(time.time() * 1000)}


def refund_an_order(orders, lines, plant, schema_id=None):
    """Writes the refund of a paid order, and before it, in the same partition, a payment that is aborted: nobody may see it who reads what is
    committed. What the upstream would tell then. Planted (`event`, `refund`), the payment is committed, or the refund is not told."""
    unseen, refund = stray_order(lines, "event"), stray_order(lines, "refund")
    publish(orders.bootstrap, "order", unseen, schema_id, commit=plant == "event", planted=plant == "event")
    publish(orders.bootstrap, "order", refund, schema_id, planted=plant == "refund")
    orders.planted += 1 + (plant == "event")
    told = refund | {"kind": "order", "paid_time": refund["paid_time"] // 1000, "refunded_time": refund["refunded_time"] // 1000}
    return lines if plant == "refund" else [*lines, told]


def tell_again(orders, lines, schema_id=None):
    """Writes a payment once more, just as it stands, which must earn nothing; then what looks like it and has to earn: the same order under a
    second promoter, and one of that number, of the same second, at another merchant. What the upstream would tell then. They are in no
    simulated world, and docs/guarantees.md says that they may be."""
    line = next(line for line in reversed(earning(lines)) if line.get("verdict", "SAME") == "SAME")
    names = ("app_id", "promoter_openid", "mch_id", "trade_no", "status")
    record = next(record for record in orders.records.values() if all(orders.schema.read(record[1])[name] == line[name] for name in names))
    put(orders.bootstrap, orders.topic, *record)
    print(f"once more: {line}", flush=True)

    second = next(other["promoter_openid"] for other in orders_of(lines)
                  if other["app_id"] == line["app_id"] and other["promoter_openid"] != line["promoter_openid"])
    told = [line | {"promoter_openid": second, "create_time": None, "verdict": "UNTOLD"}, line | {"mch_id": f"{line['mch_id']}0"}]
    for each, digit in zip(told, "34"):
        created = each["create_time"] and each["create_time"] * 1000
        publish(orders.bootstrap, "order", payment(each, digit) | {"create_time": created}, schema_id)
    orders.planted += len(told)
    # The one that stood there before is not counted again, so nobody would wait for it who waits for events.
    orders.read_to_end()
    return [*lines, *told]


def publish(bootstrap, kind, fields, schema_id=None, commit=True, planted=False):
    """Writes an event, as a stranger, in a transaction of its own: under the connector's key, which decides on the partition. It is `planted`
    where it is a fault that has to be found, and not a part of every run."""
    key, value = f"{fields['app_id']}/{fields['promoter_openid']}", schema_of(kind).write(fields, schema_id)
    put(bootstrap, TOPICS[kind], key, value, fields["observed_at"], commit)
    print(f"{'planted' if planted else 'written' if commit else 'aborted'}: {fields}", flush=True)


def put(bootstrap, topic, key, value, timestamp, commit=True):
    """A record, in a transaction of its own."""
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": "stray", "partitioner": "murmur2_random"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, key=key, value=value, timestamp=timestamp)
    if producer.flush(30):
        raise SystemExit(f"{topic} did not take a record of {key} within 30 s")
    producer.commit_transaction(30) if commit else producer.abort_transaction(30)
