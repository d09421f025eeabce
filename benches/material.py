#!/usr/bin/env python3
"""What requests for material cost on a real Kafka: the optimised binary, the simulated upstream over HTTP, one broker.

    python3 benches/material.py              # rate, delay and memory, one after the other

rate    requests that wait in their topic, with an upstream that answers at once, and with one that takes 100 ms: answers a
        second. With 16 calls in flight the second can't be faster than 160.
delay   one request at a time: from the requester's hand to the reply in the hand of a read_committed consumer, without the
        time that the upstream takes.
memory  few requests that wait, and a million, with an upstream that takes 5 s: resident memory.

Needs Rust, Java 17 or later, Maven, and Python 3.11 or later; Python packages are installed below target/. Linux only.
"""

import argparse
import io
import json
import statistics
import time

from processes import PARTITIONS, ROOT, Connector, Upstream, configuration, cpu_seconds, enter_environment, measure

PROMOTERS = 100
TAKEN = "requests for material are taken"
# The default quota of 5000 calls a minute would be the limit: 83 a second.
WITHOUT_BRAKES = """
[apps.quota]
getsharematerial = { per_minute = 0 }
"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parts = ["rate", "delay", "memory"]
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--requests", type=int, default=3000, help="for rate with 100 ms; ten times that with 0 ms")
    parser.add_argument("--rounds", type=int, default=3, help="of rate; the median counts")
    parser.add_argument("--every", type=float, default=50, help="milliseconds from one request to the next, for delay")
    parser.add_argument("--upstream", type=int, default=20, help="milliseconds that the upstream takes, for delay")
    parser.add_argument("--delays", type=int, default=1200, help="requests for delay")
    parser.add_argument("--waiting", type=int, default=1_000_000, help="requests that wait, for memory")
    parser.add_argument("--hold", type=float, default=120, help="seconds before memory is looked at again")
    return parser.parse_args()


class RequestClient:
    """The topics of one connector, from the side of those who ask."""

    def __init__(self, bootstrap, name):
        from confluent_kafka import Consumer, Producer, TopicPartition
        from confluent_kafka.admin import AdminClient, NewTopic

        self.requests, self.results = f"{name}.material.requests", f"{name}.material.results"
        topics = [NewTopic(topic, PARTITIONS, 1) for topic in (self.requests, self.results)]
        admin = AdminClient({"bootstrap.servers": bootstrap})
        for created in admin.create_topics(topics).values():
            created.result()
        self.producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "queue.buffering.max.kbytes": 1 << 20})
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": "bench", "isolation.level": "read_committed",
            "enable.auto.commit": False, "auto.offset.reset": "earliest",
        })  # fmt: skip
        self.consumer.assign([TopicPartition(self.results, partition, 0) for partition in range(PARTITIONS)])

    def put_one(self, number):
        """Hands one request to the producer."""
        promoter = f"oSimulated{number % PROMOTERS + 1:06}"
        request = {
            "request_id": str(number), "app_id": "wx_simulated", "promoter_openid": promoter,
            "path": "pages/index/index", "extra_info": f"campaign-{number}",
        }  # fmt: skip
        while True:
            try:
                headers = [("content-type", "application/json"), ("number", str(number))]
                key = f"wx_simulated/{promoter}"
                return self.producer.produce(self.requests, json.dumps(request), key, headers=headers)
            except BufferError:
                self.producer.poll(0.1)

    def put(self, count):
        """So many requests, which are there when this returns."""
        for number in range(count):
            self.put_one(number)
            self.producer.poll(0)
        if self.producer.flush(60) > 0:
            raise SystemExit("the broker does not take the requests")

    def reply(self, seconds):
        """The next reply, or nothing."""
        message = self.consumer.poll(seconds)
        if message is not None and message.error():
            raise SystemExit(f"the replies can't be read: {message.error()}")
        return message


class Judge:
    """Every request has one reply, and all went well."""

    def __init__(self):
        import fastavro

        self.read = fastavro.schemaless_reader
        self.schema = fastavro.parse_schema(json.loads((ROOT / "schemas" / "material-result.avsc").read_text()))

    def check(self, messages, count):
        # Behind the header of a single object.
        replies = [self.read(io.BytesIO(message.value()[10:]), self.schema, None) for message in messages]
        if sorted(int(reply["request_id"]) for reply in replies) != list(range(count)):
            raise SystemExit(f"{len(replies)} replies to {count} requests, or not one to each")
        if any(reply["status"] != "SUCCEEDED" for reply in replies):
            raise SystemExit("not every request succeeded")


def rate(directory, bootstrap, options):
    for latency, count in ((0, 10 * options.requests), (100, options.requests)):
        print(f"\nrate: {count} requests that wait, an upstream that takes {latency} ms, 16 calls in flight", flush=True)
        rounds = []
        for number in range(options.rounds):
            name = f"rate{latency}-{number}"
            client = RequestClient(bootstrap, name)
            client.put(count)
            upstream = Upstream(directory, f"upstream-{name}", PROMOTERS, f"--latency-min={latency}ms")
            connector = Connector(directory, name, configuration(bootstrap, upstream.url, name, 0, WITHOUT_BRAKES))
            begin, _ = connector.logged(TAKEN)
            replies, last = [], begin
            # Whatever comes too often would come soon.
            while len(replies) < count or time.time() - last < 2:
                message = client.reply(0.5)
                if message is not None:
                    replies.append(message)
                    last = time.time()
                    if len(replies) == count:
                        cpu = connector.cpu_seconds()
                connector.child.must_run()
            Judge().check(replies, count)
            upstream_cpu = cpu_seconds(upstream.child.process.pid)
            rounds.append((count / (last - begin), cpu / count * 1e6, connector.memory("VmHWM"), upstream_cpu / count * 1e6))
            connector.stop()
            upstream.child.end()
            text = "  {:.0f} requests/s, CPU-s/million {:.0f}, peak {:.1f} MiB, upstream's CPU-s/million {:.0f}"
            print(text.format(*rounds[-1]), flush=True)
        print("median: {:.0f} requests/s, {:.0f} CPU-seconds a million, {:.1f} MiB at most".format(
            *map(statistics.median, list(zip(*rounds))[:3])))  # fmt: skip


def delay(directory, bootstrap, options):
    print(f"\ndelay: one request at a time, {options.every:.0f} ms apart or more, an upstream that takes "
          f"{options.upstream} ms", flush=True)  # fmt: skip
    client = RequestClient(bootstrap, "delay")
    upstream = Upstream(directory, "upstream-delay", PROMOTERS, f"--latency-min={options.upstream}ms")
    connector = Connector(directory, "delay", configuration(bootstrap, upstream.url, "delay", 0, WITHOUT_BRAKES))
    connector.logged(TAKEN)
    warm_up, delays, replies = 50, [], []
    for number in range(warm_up + options.delays):
        begin = time.perf_counter()
        client.put_one(number)
        client.producer.poll(0)
        message = client.reply(30)
        passed = (time.perf_counter() - begin) * 1000
        if message is None or dict(message.headers())["number"] != str(number).encode():
            raise SystemExit(f"no reply to request {number}, or another's")
        replies.append(message)
        if number >= warm_up:
            delays.append(passed - options.upstream)
        time.sleep(max(0, options.every - passed) / 1000)
    client.producer.flush(30)
    Judge().check(replies, warm_up + options.delays)
    cuts = statistics.quantiles(delays, n=100, method="inclusive")
    print(f"beyond the upstream's own {options.upstream} ms: p50 {cuts[49]:.1f} ms, p90 {cuts[89]:.1f} ms, "
          f"p99 {cuts[98]:.1f} ms, at most {max(delays):.1f} ms, of {len(delays)} requests")  # fmt: skip
    connector.stop()
    upstream.child.end()


def memory(directory, bootstrap, options):
    for count in (10, options.waiting):
        print(f"\nmemory: {count} requests that wait, an upstream that takes 5 s", flush=True)
        name = f"memory{count}"
        client = RequestClient(bootstrap, name)
        client.put(count)
        upstream = Upstream(directory, f"upstream-{name}", PROMOTERS, "--latency-min=5s")
        connector = Connector(directory, name, configuration(bootstrap, upstream.url, name, 0, WITHOUT_BRAKES))
        begin, _ = connector.logged(TAKEN)
        # Before the first of them are answered.
        for seconds in (4, options.hold):
            time.sleep(max(0, begin + seconds - time.time()))
            figures = [connector.memory(field) for field in ("VmRSS", "RssAnon", "VmHWM")]
            print("  after {:.0f} s: resident {:.1f} MiB (heap and stacks {:.1f}), at most {:.1f}".format(seconds, *figures))
        connector.stop()
        upstream.child.end()


def main():
    enter_environment()
    options = arguments()
    measure([part for part in (rate, delay, memory) if part.__name__ in options.only], options)


if __name__ == "__main__":
    main()
