#!/usr/bin/env python3
"""What the connector costs on a real Kafka: the optimised binary, the simulated upstream over HTTP, one broker.

    python3 benches/kafka.py                 # load, idle and start, one after the other

load   a backlog of touches from HTTP into committed transactions: facts a second, CPU time and memory of the connector.
       Broker, upstream and connector share the machine's cores, so facts a second say more about the machine than
       CPU-seconds do.
idle   promoters that have nothing to show, all three feeds at their usual pace: memory after a while.
start  from the start of the process to the first data call that the upstream sees, and the part of it that Kafka takes
       (topics, group, producer, state).

Needs Rust, Java 17 or later, Maven, and Python 3.11 or later; Python packages are installed below target/. Linux only.
"""

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "soak"))
from run import ROOT, TARGET, Child, enter_environment  # noqa: E402

BINARY = TARGET / "release" / "promoter-connector"
PARTITIONS = 6
TICKS = os.sysconf("SC_CLK_TCK")
# A world where nothing goes wrong and nothing happens by itself.
PLAIN = ["--faults=none", "--latency=0ms", "--late=0", "--moving=0s", "--duplicates=0", "--odd-rows=0", "--dead-rows=0"]
PLAIN += ["--touches-per-hour=0", "--orders-per-hour=0"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--only", nargs="+", choices=["load", "idle", "start"], default=["load", "idle", "start"])
    parser.add_argument("--promoters", type=int, default=200)
    parser.add_argument("--touches", type=int, default=5000, help="of each promoter, for load")
    parser.add_argument("--rounds", type=int, default=3, help="of load; the median counts")
    parser.add_argument("--starts", type=int, default=7, help="the first creates the topics and does not count")
    parser.add_argument("--idle", type=float, default=60, help="seconds before memory is looked at")
    return parser.parse_args()


def configuration(bootstrap, upstream, name, options, more=""):
    names = ", ".join(f'"oSimulated{number:06}"' for number in range(1, options.promoters + 1))
    return f"""
[connector]
name = "{name}"
instance_id = "bench"
[kafka]
"bootstrap.servers" = "{bootstrap}"
[topics]
prefix = "{name}"
partitions = {PARTITIONS}
replication = 1
[[apps]]
app_id = "wx_simulated"
secret = "simulated-secret"
base_url = "{upstream}"
promoters = [{names}]
{more}
[admin]
listen = "off"
"""


# The default quota of 5000 calls a minute would be the limit: 83 full pages a second.
WITHOUT_BRAKES = """
[apps.quota]
getrelation = { per_minute = 0 }
[feeds.touches]
start_from = "earliest"
[feeds.orders]
enabled = false
[feeds.refunds]
enabled = false
"""


class Upstream:
    """`simulate`, and one connection that asks it what it has seen."""

    def __init__(self, directory, name, options, *world):
        arguments = ["simulate", "--listen=127.0.0.1:0", f"--promoters={options.promoters}", *PLAIN, *world]
        self.child = Child(directory, name, BINARY, *arguments)
        self.url = self.child.wait_for(r"(http://127\.0\.0\.1:\d+)\n", 60)
        self.connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60)

    def stats(self):
        self.connection.request("GET", "/_stats")
        return json.loads(self.connection.getresponse().read())

    def data_calls(self):
        calls = self.stats()["calls"]
        return sum(sum(calls.get(f"/promoter/{name}", {}).values()) for name in ("getrelation", "getorder"))


class Connector:
    """`run`, with what Linux and its own log tell of it."""

    def __init__(self, directory, name, text):
        (directory / f"{name}.toml").write_text(text)
        self.begin = time.time()
        self.child = Child(directory, name, BINARY, "run", "--config", directory / f"{name}.toml")
        self.log_begin = self.child.log.stat().st_size

    def cpu_seconds(self):
        return cpu_seconds(self.child.process.pid)

    def memory(self, field):
        """MiB."""
        status = Path(f"/proc/{self.child.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)[1]) / 1024

    def logged(self, message, seconds=60):
        """The first line of this life with that message, and its time."""
        self.child.wait_for(f'"message":"({message})"', seconds)
        lines = self.child.log.read_bytes()[self.log_begin :].decode().splitlines()
        line = next(line for line in map(json.loads, lines) if line.get("message") == message)
        return datetime.fromisoformat(line["timestamp"]).timestamp(), line

    def stop(self):
        """Its last word: what it has published."""
        code = self.child.terminate(60)
        if code != 0:
            raise SystemExit(f"the connector ended with {code}\n{self.child.tail()}")
        published = re.findall(r'"message":"stopped".*?"published":(\d+)|"published":(\d+).*?"message":"stopped"', self.child.tail())
        return int("".join(published[-1]))


def cpu_seconds(process):
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


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
        upstream = Upstream(directory, f"upstream-{name}", options, f"--history-touches={options.touches}")
        connector = Connector(directory, name, configuration(bootstrap, upstream.url, name, options, WITHOUT_BRAKES))
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
    print(f"median: {rate:.0f} facts/s, {cpu:.2f} CPU-seconds a million facts, {peak:.1f} MiB at most")


def idle(directory, bootstrap, options):
    print(f"\nidle: {options.promoters} quiet promoters, all feeds at their usual pace", flush=True)
    upstream = Upstream(directory, "upstream-idle", options)
    connector = Connector(directory, "idle", configuration(bootstrap, upstream.url, "idle", options))
    connector.logged("log is open, polling begins")
    time.sleep(options.idle / 2)
    before = connector.cpu_seconds()
    time.sleep(options.idle / 2)
    cpu = (connector.cpu_seconds() - before) / (options.idle / 2) * 100
    figures = {field: connector.memory(field) for field in ("VmRSS", "RssAnon", "RssFile", "VmHWM")}
    print(f"resident {figures['VmRSS']:.1f} MiB (heap and stacks {figures['RssAnon']:.1f}, the program itself and its "
          f"libraries {figures['RssFile']:.1f}; at most {figures['VmHWM']:.1f}), {cpu:.1f}% of a core")
    connector.stop()
    upstream.child.end()


def start(directory, bootstrap, options):
    print(f"\nstart: {options.promoters} promoters, to the first data call", flush=True)
    upstream = Upstream(directory, "upstream-start", options)
    text = configuration(bootstrap, upstream.url, "start", options)
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


def main():
    enter_environment()
    options = arguments()
    build = ["cargo", "build", "--release", "--locked", "--bin", "promoter-connector", "--example", "broker"]
    subprocess.run(build, cwd=ROOT, check=True)
    directory = TARGET / "bench" / time.strftime("%Y%m%d-%H%M%S")
    directory.mkdir(parents=True)
    # It ends with its input by itself, and takes its files along.
    broker = Child(directory, "broker", TARGET / "release" / "examples" / "broker", leash=())
    bootstrap = broker.wait_for(r"bootstrap\.servers = (\S+)\n", 120)
    for part in (load, idle, start):
        if part.__name__ in options.only:
            part(directory, bootstrap, options)
    broker.end()


if __name__ == "__main__":
    main()
