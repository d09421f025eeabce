"""What a mirror has made of topics, on the other cluster."""

import time
from collections import Counter

from confluent_kafka.admin import AdminClient, ConfigResource
from events import schema_of
from parts import tell
from topic import Topic

QUIET_SECONDS = 8
# What decides on how long events are kept, and on what a record's time is.
SETTINGS = ("cleanup.policy", "retention.ms", "retention.bytes", "message.timestamp.type")


class Records(Topic):
    """All that can be said of a topic, but for offsets, which are others in a copy."""

    def __init__(self, bootstrap, topic):
        super().__init__(bootstrap, topic)
        self.records = {partition: [] for partition in self.partitions}

    def take(self, message):
        self.count += 1
        self.records[message.partition()].append((message.key(), message.value(), message.timestamp(), message.headers()))

    def settings(self):
        resource = ConfigResource(ConfigResource.Type.TOPIC, self.topic)
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        found = admin.describe_configs([resource])[resource].result(30)
        return {name: found[name].value for name in SETTINGS}

    def read_until_quiet(self, count, limit=120):
        """Until there are as many at least, and then until none has come for some time, which would be too many."""
        deadline, since = time.monotonic() + limit, time.monotonic()
        while self.count < count or time.monotonic() < since + QUIET_SECONDS:
            before = self.count
            self.poll()
            if self.count > before:
                since = time.monotonic()
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.count} of {count} copies in {self.topic} after {limit} s")

    def orders(self):
        schema = schema_of("order")
        orders = [schema.read(value) for records in self.records.values() for _, value, _, _ in records]
        paid = sum(order["paid_amount"] for order in orders if order["status"] == "PAID")
        return {"events": len(orders), "ids": len({order["event_id"] for order in orders}), "paid": paid}


def is_copied(here, there, topic):
    """Whether the copy has the same records in the same order, as often, in the same partitions, and is kept as long."""
    with Records(here, topic) as original, Records(there, f"here.{topic}") as copy:
        for each in (original, copy):
            each.read_to_end()
    same = original.records == copy.records and original.settings() == copy.settings()
    values = [Counter(value for records in each.records.values() for _, value, _, _ in records) for each in (original, copy)]
    return tell(same, f"{topic}: {original.count} records, {copy.count} copies, {(values[1] - values[0]).total()} too many, "
                f"{(values[0] - values[1]).total()} missing; {copy.settings()}")
