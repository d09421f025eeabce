#!/usr/bin/env python3
"""What the connector costs on a real Kafka: the optimised binary, the simulated upstream over HTTP, one broker.

    python3 benches/kafka.py                 # load, idle and start, one after the other
    python3 benches/kafka.py --only million

load   a backlog of touches from HTTP into committed transactions: facts a second, CPU time and memory of the connector.
       Broker, upstream and connector share the machine's cores, so facts a second say more about the machine than
       CPU-seconds do; so the rate stands beside that of a producer that only writes the same records, in the same run.
idle   promoters that have nothing to show, all three feeds at their usual pace: memory after a while, CPU time, wake-ups.
start  from the start of the process to the first data call that the upstream sees, and the part of it that Kafka takes
       (topics, group, producer, state).
million  the same of a million promoters in a promoters_file, at the first start and at the next one, and the memory they take.

Needs Rust, Java 17 or later, Maven, and Python 3.11 or later; Python packages are installed below target/. Linux only.
"""

import argparse
import statistics
import threading
import time

from processes import (
    PARTITIONS, TARGET, Child, Connector, Upstream, configuration, cpu_seconds, enter_environment, measure, quiet_upstream,
)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--only", nargs="+", choices=["load", "idle", "start", "million"], default=["load", "idle", "start"])
    parser.add_argument("--promoters", type=int, default=200)
    parser.add_argument("--touches", type=int, default=5000, help="of each promoter, for load")
    parser.add_argument("--rounds", type=int, default=3, help="of load; the median counts")
    parser.add_argument("--starts", type=int, default=7, help="the first creates the topics and does not count")
    parser.add_argument("--idle", type=float, default=60, help="seconds before memory is looked at")
    parser.add_argument("--many", type=int, default=1_000_000, help="promoters of million")
    return parser.parse_args()


# The default quota of 5000 calls a minute would be the limit: 83 full pages a second.
WITHOUT_BRAKES = """
[apps.quota]
getrelation = { per_minute = 0 }
[poll]
catch_up_spread = "36500d"
[feeds.touches]
start_from = "earliest"
[feeds.orders]
enabled = false
[feeds.refunds]
enabled = false
"""


class Ends:
    """The committed ends of the event topics."""

    def __init__(self, bootstrap, prefix):
        from confluent_kafka import IsolationLevel, TopicPartition
        from confluent_kafka.admin import AdminClient, OffsetSpec

        self.admin, self.isolation = AdminClient({"bootstrap.servers": bootstrap}), IsolationLevel.READ_COMMITTED
        places = [TopicPartition(f"{prefix}.touches", partition) for partition in range(PARTITIONS)]
        self.asked = {place: OffsetSpec.latest() for place in places}

    def sum(self):
        """Records, and a marker for each transaction and partition."""
        answers = self.admin.list_offsets(self.asked, isolation_level=self.isolation, request_timeout=10)
        return sum(answer.result().offset for answer in answers.values())


def load(directory, bootstrap, options):
    facts = options.promoters * options.touches
    print(f"\nload: {facts} touches of {options.promoters} promoters from HTTP into committed transactions", flush=True)
    rounds = []
    for number in range(options.rounds):
        name = f"load{number}"
        upstream = Upstream(directory, f"upstream-{name}", options.promoters, f"--history-touches={options.touches}")
        connector = Connector(directory, name, configuration(bootstrap, upstream.url, name, options.promoters, WITHOUT_BRAKES))
        begin, _ = connector.logged("log is open, polling begins")
        ends = Ends(bootstrap, name)
        seen, last, cpu = -1, begin, 0.0
        while seen < facts or time.time() - last < 2:
            connector.child.must_run()
            now = ends.sum()
            if now != seen:
                seen, last, cpu = now, time.time(), connector.cpu_seconds()
            time.sleep(0.03)
        peak, upstream_cpu = connector.memory("VmHWM"), cpu_seconds(upstream.child.process.pid)
        published = connector.stop()
        upstream.child.end()
        if published != facts:
            raise SystemExit(f"{published} facts were published instead of {facts}")
        rounds.append((facts / (last - begin), cpu / facts * 1e6, peak, upstream_cpu / facts * 1e6))
        print("  facts/s {:.0f}, CPU-s/million {:.2f}, peak {:.1f} MiB, upstream's CPU-s/million {:.2f}".format(*rounds[-1]))
    rate, cpu, peak, _ = map(statistics.median, zip(*rounds))
    print(f"median: {rate:.0f} facts/s, {cpu:.2f} CPU-seconds a million facts, {peak:.1f} MiB at most (aim: 76)")
    bare = bare_rate(directory, bootstrap, facts)
    print(f"a bare transactional producer takes {bare:.0f} records/s: the connector has {rate / bare:.2f} of that (aim: 0.75)")


def bare_rate(directory, bootstrap, records):
    """Records a second of a producer that writes what the first round has written."""
    program = TARGET / "release" / "examples" / "bare_producer"
    bare = Child(directory, "bare", program, bootstrap, "load0.touches", "bare.touches", str(records))
    rate = float(bare.wait_for(r"records a second = (\d+)\n", 300))
    bare.process.wait()
    return rate


def idle(directory, bootstrap, options):
    print(f"\nidle: {options.promoters} quiet promoters, all feeds at their usual pace", flush=True)
    upstream = Upstream(directory, "upstream-idle", options.promoters)
    connector = Connector(directory, "idle", configuration(bootstrap, upstream.url, "idle", options.promoters))
    connector.logged("log is open, polling begins")
    time.sleep(options.idle / 2)
    seconds, cpu, wake_ups = options.idle / 2, connector.cpu_seconds(), connector.wake_ups()
    time.sleep(seconds)
    cpu, wake_ups = connector.cpu_seconds() - cpu, connector.wake_ups() - wake_ups
    figures = {field: connector.memory(field) for field in ("VmRSS", "RssAnon", "RssFile", "VmHWM")}
    print(f"resident {figures['VmRSS']:.1f} MiB (heap and stacks {figures['RssAnon']:.1f}, the program itself and its "
          f"libraries {figures['RssFile']:.1f}; at most {figures['VmHWM']:.1f})")
    print(f"{cpu / seconds * 60:.2f} CPU-seconds a minute, {wake_ups / seconds:.0f} wake-ups a second, "
          f"{len(connector.threads())} threads")
    connector.stop()
    upstream.child.end()


def start(directory, bootstrap, options):
    print(f"\nstart: {options.promoters} promoters, to the first data call", flush=True)
    upstream = Upstream(directory, "upstream-start", options.promoters)
    text = configuration(bootstrap, upstream.url, "start", options.promoters)
    rounds = []
    for number in range(options.starts):
        calls = upstream.data_calls()
        connector = Connector(directory, "start", text)
        while upstream.data_calls() == calls:
            connector.child.must_run()
            time.sleep(0.002)
        first_call = time.time()
        kafka = int(connector.logged("log is open, polling begins")[1]["milliseconds"])
        connector.stop()
        total = (first_call - connector.begin) * 1000
        if number > 0:
            rounds.append((total, kafka, total - kafka))
            print("  {:.0f} ms, of which Kafka {:.0f} ms and the connector {:.0f} ms".format(*rounds[-1]))
    print("median: {:.0f} ms, Kafka {:.0f} ms, the connector {:.0f} ms".format(*map(statistics.median, zip(*rounds))))
    upstream.child.end()


def million(directory, bootstrap, options):
    print(f"\nmillion: {options.many} quiet promoters of a promoters_file, to the first data call", flush=True)
    asked = threading.Event()
    upstream = quiet_upstream(lambda _: asked.set())
    names = directory / "promoters.csv"
    names.write_text("promoter\n" + "".join(f"oPromoter{number:019}\n" for number in range(options.many)))
    text = configuration(bootstrap, upstream, "million", 0, f'promoters_file = "{names}"')
    for life in ("first start", "restart"):
        asked.clear()
        connector = Connector(directory, "million", text)
        while not asked.wait(0.5):
            connector.child.must_run()
        seconds = time.time() - connector.begin
        kafka = int(connector.logged("log is open, polling begins", 300)[1]["milliseconds"]) / 1000
        time.sleep(options.idle / 2)
        print(f"{life}: {seconds:.1f} s (aim: 4), of which {kafka:.1f} s until the log is open; "
              f"resident {connector.memory('VmRSS'):.0f} MiB after a while (aim: 477), {connector.memory('VmHWM'):.0f} at most")
        connector.stop()


def main():
    enter_environment()
    options = arguments()
    measure([part for part in (load, idle, start, million) if part.__name__ in options.only], options)


if __name__ == "__main__":
    main()
