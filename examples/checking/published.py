"""A topic of orders with all that the upstream has shown, after a crash of the connector, and what is to be read of it."""

import json
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from connector import start_connector
from events import TOPICS, publish

TOPIC = TOPICS["order"]
PROMOTERS, HISTORY_DAYS = 20, 3


def begin_world(world, seed):
    """With the upstream's faults, and some ten thousand orders."""
    world.begin(f"--seed={seed}", f"--promoters={PROMOTERS}", "--quiet-after=10s", "--spell=3s", "--late-max=5s",
                "--moving=5s", f"--history={HISTORY_DAYS}d", "--touches-per-hour=1", "--orders-per-hour=5", "--refund-within=2d")


def publish_orders(world, registry=None, limit=180):
    """Runs the connector until all that was shown is on the topic, kills it once on the way, and stops it."""
    connector, killed = start_connector(world, PROMOTERS, 6, HISTORY_DAYS, registry), False
    deadline = time.monotonic() + limit
    while not world.settlement()["settled"] or not killed:
        connector.must_run()
        if not killed and world.settlement()["shown"] > 1000:
            connector.kill9()
            connector, killed = world.connector("connector"), True
        if time.monotonic() > deadline:
            raise SystemExit(f"not settled after {limit} s: {world.settlement()}")
        time.sleep(0.2)
    # What it has polled it commits before it stops; what the killed one had polled is polled again first.
    connector.wait_for(r"(log is open, polling begins)", 60)
    wait_for_all(world, limit)
    if connector.terminate(60) != 0:
        raise SystemExit(f"the connector did not stop in order\n{connector.tail()}")


def wait_for_all(world, limit):
    """Until the topic has as many committed events as were shown."""
    wanted = expected(world.ask("_truth"))["events"]
    deadline = time.monotonic() + limit
    while (there := committed_events(world.bootstrap)) < wanted:
        if time.monotonic() > deadline:
            raise SystemExit(f"{there} of {wanted} events after {limit} s")


def committed_events(bootstrap):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "check", "enable.partition.eof": True,
                         "isolation.level": "read_committed"})
    unfinished = set(consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions)
    consumer.assign([TopicPartition(TOPIC, number, OFFSET_BEGINNING) for number in unfinished])
    events = 0
    while unfinished:
        for message in consumer.consume(10_000, 0.2):
            if message.error() is None:
                events += 1
            elif message.error().code() == KafkaError._PARTITION_EOF:
                unfinished.discard(message.partition())
    consumer.close()
    return events


def lags_of(bootstrap, group):
    """What tools show that subtract a group's offsets from the ends of the partitions; nothing of who commits none, as kcat, Spark and read.py,
    nor of a partition whose promoters have no orders, as in some worlds: there is no marker to stand before or behind."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False})
    places = [TopicPartition(TOPIC, number) for number in consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions]
    ends = {at.partition: consumer.get_watermark_offsets(at, timeout=10)[1] for at in places}
    lags = [ends[at.partition] - at.offset for at in consumer.committed(places, timeout=10)
            if at.offset >= 0 and ends[at.partition] > 0]
    consumer.close()
    return lags


def stray_transaction(bootstrap, commit, schema_id=None):
    """An order that nobody has shown."""
    now = int(time.time() * 1000)
    fields = {"event_id": "0" * 32, "app_id": "wx_simulated", "id_kind": "OPENID", "promoter_openid": "oStray", "openid": "oUSER",
              "mch_id": "1", "trade_no": "1", "status": "PAID", "status_code": 1, "paid_amount": 1, "paid_time": now, "observed_at": now}
    publish(bootstrap, "order", fields, schema_id, commit, planted=commit)


def expected(truth):
    orders = [line for line in map(json.loads, truth.splitlines()) if line["kind"] == "order"]
    paid = sum(line["paid_amount"] for line in orders if line["status"] == "PAID")
    return {"events": len(orders), "ids": len(orders), "paid": paid}
