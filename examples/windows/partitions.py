"""The records of a topic in the order in which each partition has them, and what windows keep of them."""

import math
from pathlib import Path

from framing import Schema
from topic import Topic

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"


class Partitions(Topic):
    def __init__(self, bootstrap, topic, schema, wanted):
        """Of the records of `topic` those whose decoded value is `wanted`."""
        super().__init__(bootstrap, topic)
        self.wanted, self.schema = wanted, Schema(SCHEMAS / f"{schema}.avsc")
        # The times of the wanted records, in seconds; `count` is the number of all.
        self.times = {}

    def take(self, message):
        self.count += 1
        if self.wanted(self.schema.read(message.value())):
            self.times.setdefault(message.partition(), []).append(message.timestamp()[1] // 1000)

    def with_stream_time(self, until=math.inf):
        """Each record's time, with the greatest that its partition has shown up to it, of those that are no later than `until`."""
        for times in self.times.values():
            greatest = 0
            for at in times:
                greatest = max(greatest, at) if at <= until else greatest
                yield at, greatest

    def latest(self, until=math.inf):
        """How far a record lies behind its partition's time, at most."""
        return max((greatest - at for at, greatest in self.with_stream_time(until)), default=0)

    def kept(self, window, grace):
        """The part of the records that windows keep."""
        ended = [at - at % window + window + grace <= greatest for at, greatest in self.with_stream_time()]
        return 1 - sum(ended) / max(len(ended), 1)
