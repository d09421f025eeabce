"""A topic as a stranger reads it."""

import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition


class Topic:
    """All committed records of a topic, from the first on. Who inherits says what is done with each: `take`. To be closed before the brokers
    end, by `with`: a consumer that outlives them says so again and again, around the verdict."""

    def __init__(self, bootstrap, topic):
        self.bootstrap, self.topic, self.count = bootstrap, topic, 0
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": "check", "isolation.level": "read_committed",
            # The end of a partition is told, and so passed, though what stands there is a marker.
            "enable.auto.commit": False, "enable.partition.eof": True, "fetch.wait.max.ms": 100,
        })
        self.partitions = self.wait_for_topic(60)
        self.consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in self.partitions])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.consumer.close()

    def wait_for_topic(self, limit):
        """Who writes it creates it when it starts for the first time."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            known = self.consumer.list_topics(timeout=10).topics
            if self.topic in known and known[self.topic].partitions:
                return list(known[self.topic].partitions)
            time.sleep(0.2)
        self.consumer.close()
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
