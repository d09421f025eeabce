#!/usr/bin/env python3
"""What reads the topics by settings alone has each event once: what docs/consuming.md says of it was run by this.

    python3 examples/sinks/check.py                             # a sink of Kafka Connect: a minute once it is built
    python3 examples/sinks/check.py --only mirror,clickhouse    # only where they are named, for they take longer
    python3 examples/sinks/check.py --plant uncommitted         # must fail, and so must the other faults to be planted

Starts a real Kafka (and for the mirror a second one), a real schema registry, the simulated upstream with its faults, and the
connector, which is killed with SIGKILL in the middle. When all is published, an order is written in a transaction that is aborted, and
behind it a refund. Then each reads promoter.orders as its files here say, and is killed with SIGKILL on the way: the events, their
event_ids, the sum of all payments and all times that it has written must be what the upstream says it has shown. Groups must stand as far before the
ends as docs/consuming.md says, and what that page shows must stand in the files.

Needs Rust, Java 17 or later, Maven, and Python 3.11.4 or later; the Python packages are installed below target/. PROMOTER_BINARIES names
a directory, laid out as target/debug is, whose connector and broker are taken instead of building them.
"""

import argparse
import os
import random
import re
import shutil
import sys
import time
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests" / "soak"), str(HERE.parent / "checking"), str(HERE)]
from installed import there  # noqa: E402
from java import Registry, java, maven  # noqa: E402
from page import must_stand_in  # noqa: E402
from parts import TARGET, carry_out, environment, tell  # noqa: E402

HOME = TARGET / "sinks"
PROGRAMS = {"connect": "mvn", "mirror": "mvn", "clickhouse": sys.executable}
# Those with offsets of their own in the cluster commit the one behind the last record, and not the one behind the marker after it.
GROUPS = {"connect": "connect-orders", "clickhouse": "clickhouse"}
# The sections of docs/consuming.md that show lines of a file.
SHOWN = {"Sinks of Kafka Connect": "connect/orders.properties", "ClickHouse": "clickhouse/orders.sql"}
# What can be planted in the files, and in place of what.
FAULTS = {
    "uncommitted": ("isolation.level=read_committed", "isolation.level=read_uncommitted"),
    "again": ("exactly.once.source.support=enabled", "exactly.once.source.support=disabled"),
    "insert": ("insert.mode=upsert\nprimary.key.mode=record_value", "insert.mode=insert\nprimary.key.mode=none"),
}

# What is asked of a table of orders.
NUMBERS = ("events", "ids", "paid", "paid at", "refunds at", "refunded at")
# Those that a file which was used has.
planted = set()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAMES", help="separated by commas; these have to be there")
    parser.add_argument("--plant", choices=["event", *FAULTS], help="a fault that has to be found: the order that nobody has shown is "
                        "committed; Connect and the mirror read what was aborted; the mirror copies again what it has copied before a "
                        "crash; Connect inserts rows whatever is there")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="of the world")
    parser.add_argument("--release", action="store_true", help="the optimised connector")
    return parser.parse_args()


def run(options, world):
    # Where nobody counts by UTC: a time that went by the zone of a host would be another one.
    os.environ["TZ"] = "Asia/Shanghai"
    # Their packages are there only within the environment.
    from events import Events
    from published import begin_world, publish_orders

    for heading, file in SHOWN.items():
        must_stand_in(HERE / file, heading)
    names = there(PROGRAMS, options.only, seldom={"mirror", "clickhouse"})
    begin_world(world, options.seed)
    registry = Registry(world).url
    publish_orders(world, registry)
    with Events(world.bootstrap, "order") as orders:
        return are_read(options, world, registry, names, orders)


def are_read(options, world, registry, names, orders):
    """Whether each of them has all of the orders, and what was planted is where it has to be."""
    from events import refund_an_order
    from framing import Registered
    from published import TOPIC, lags_of
    from truth import lines_of, orders_of

    shown = orders_of(refund_an_order(orders, lines_of(world.ask("_truth")), options.plant, Registered(registry).latest_id(TOPIC)))
    orders.read_to_end()
    wanted = {"events": len(shown), "ids": len(shown), "paid": sum(line["paid_amount"] for line in shown if line["status"] == "PAID")}
    refunded = [line["refunded_time"] for line in shown if line["refunded_time"] is not None]
    # In whole seconds, as the upstream counts. What a mirror copies is compared by the byte.
    times = {"paid at": sum(line["paid_time"] for line in shown), "refunds at": len(refunded), "refunded at": sum(refunded)}
    print(f"shown: {wanted} {times}", flush=True)
    verdicts = []
    for name in names:
        began = time.monotonic()
        found = {"connect": connect, "mirror": mirror, "clickhouse": clickhouse}[name](options, world, registry, orders)
        lags = lags_of(world.bootstrap, GROUPS[name]) if name in GROUPS else []
        right = wanted if name == "mirror" else wanted | times
        faults = [f"{key} has to be {right[key]}" for key in right if found[key] != right[key]]
        faults += [f"{key} has to be something" for key in found if not found[key]]
        # A group of which no lag is told has none that could be looked at.
        if not all(lags) or bool(lags) != (name in GROUPS):
            faults.append("lags have to be 1 or more" if name in GROUPS else "lags have to be none")
        seconds = time.monotonic() - began
        verdicts.append(tell(not faults, f"{name}: {found}, after {seconds:.0f} s; lags {lags}" + "".join(f"; {fault}" for fault in faults)))
    if options.plant in FAULTS and options.plant not in planted:
        raise SystemExit(f"--plant {options.plant} alters none of the files of {', '.join(names)}")
    return verdicts and all(verdicts) and wanted["events"] > 1000


def connect(options, world, registry, orders):
    """A sink that writes rows to a database."""
    from events import Progress
    from postgres import Postgres

    database = Postgres(world, lib(), HOME / "postgresql")
    own = {
        "localhost:9092": world.bootstrap, "connect.offsets": f"{world.directory}/connect.offsets", "127.0.0.1:8083": "127.0.0.1:0",
        "http://localhost:8081": registry.removesuffix("/apis/ccompat/v7"), "localhost:5432": f"localhost:{database.port}",
    }
    # What the killed one has read is given to its successor so much later; and that one says soon how far it has come.
    sooner = "consumer.session.timeout.ms=6000\n"
    sink = settings(options, HERE / "connect" / "orders.properties", world.directory / "orders.properties", own)
    first, second = (settings(options, HERE / "connect" / "worker.properties", world.directory / f"{name}.properties", own, more)
                     for name, more in (("first", sooner), ("second", f"{sooner}offset.flush.interval.ms=1000\n")))
    command = [*java(world), "-cp", f"{lib()}/*", "org.apache.kafka.connect.cli.ConnectStandalone"]
    worker = world.start("connect", *command, first, sink)
    rows = """select count(*), count(distinct event_id), sum(case status when 'PAID' then paid_amount end), sum(extract(epoch from paid_time)),
        count(refunded_time), sum(extract(epoch from refunded_time)) from orders"""
    until(worker, lambda: any(events > 1000 for events, *_ in database.ask(rows)))
    worker.kill9()
    print(f"connect killed, after {database.ask(rows)}", flush=True)
    worker = world.start("connect", *command, second, sink)
    with Progress(world.bootstrap, "connect-orders") as progress:
        until(worker, lambda: not progress.behind(orders))
    [found] = database.ask(rows)
    # So PostgreSQL marks a row that an upsert has found there.
    [(again,)] = database.ask("select count(*) from orders where xmax <> '0'")
    return dict(zip(NUMBERS, map(int, found))) | {"written again": again}


def mirror(options, world, registry, orders):
    """Another cluster's copies of the topics of events."""
    from copies import Records, is_copied
    from events import TOPICS

    second = world.start_broker("second")
    own = {"localhost:9092": world.bootstrap, "localhost:9093": second}
    # Plugins are found by what they say of themselves, which is quicker; and it has to be killed before it is done.
    more = "plugin.discovery=service_load\nhere.consumer.max.poll.records=100\n"
    file = settings(options, HERE / "mirror" / "mirror.properties", world.directory / "mirror.properties", own, more)
    command = [*java(world), "-cp", f"{lib()}/*", "org.apache.kafka.connect.mirror.MirrorMaker", file, "--clusters", "there"]
    worker = world.start("mirror", *command)
    worker.wait_for(r"(replicating \d+ topic-partitions)", 120)
    with Records(second, f"here.{orders.topic}") as copies:
        until(worker, lambda: copies.poll() or copies.count > 1000)
        worker.kill9()
        print(f"mirror killed, after {copies.count} copies", flush=True)
        worker = world.start("mirror", *command)
        until(worker, lambda: worker.text().count("topic-partitions here->there") == 2)
        copies.read_until_quiet(orders.count)
        same = all([is_copied(world.bootstrap, second, topic) for topic in TOPICS.values()])
        elsewhere = {topic for topic in copies.consumer.list_topics(timeout=10).topics if topic.startswith("here.promoter.")}
    made = [topic for topic in orders.consumer.list_topics(timeout=10).topics if not topic.startswith(("promoter.", "__"))]
    print(f"made by the mirror in the cluster that it reads: {made}", flush=True)
    print(f"copied: {sorted(elsewhere)}", flush=True)
    wanted = {f"here.promoter.{topic}" for topic in ("touches", "orders", "dead-letters")}
    # An upstream that shows nothing unreadable leaves no dead letters, and their topic is copied all the same.
    return copies.orders() | {"same": same, "wrote only there": not made, "nothing else": elsewhere == wanted}


def clickhouse(options, world, registry, orders):
    """A table of rows that a view has moved there."""
    from events import Progress

    # In small blocks, so that it can be killed between two.
    own = {"localhost:9092": world.bootstrap, "http://localhost:8081": registry, "Kafka SETTINGS": "Kafka SETTINGS kafka_max_block_size = 100,"}
    tables = settings(options, HERE / "clickhouse" / "orders.sql", world.directory / "orders.sql", own)
    python = environment(TARGET / "clickhouse-python", HERE / "clickhouse" / "requirements.txt")
    command = [python, HERE / "clickhouse" / "engine.py", world.directory / "clickhouse", tables]
    engine = world.start("clickhouse", *command)
    until(engine, lambda: last_of(engine)[0] > 1000)
    engine.kill9()
    print(f"clickhouse killed, after {last_of(engine)}", flush=True)
    engine = world.start("clickhouse", *command)
    with Progress(world.bootstrap, "clickhouse") as progress:
        until(engine, lambda: not progress.behind(orders))
    told = len(engine.text())
    until(engine, lambda: engine.text()[told:].count("\n") > 2)
    rows, *found = last_of(engine)
    return dict(zip(NUMBERS, found)) | {"rows before they are merged": rows}


def last_of(engine):
    """The numbers of the last whole line that it has said of its rows."""
    lines = re.findall(r"(\d+ rows, \d+(?: \d+)*)\n", engine.text())
    return [int(number) for number in re.findall(r"\d+", lines[-1])] if lines else [0]


@cache
def lib():
    """The jars that stand in the POM."""
    built = HOME / "connect"
    shutil.rmtree(built, ignore_errors=True)
    shutil.copytree(HERE / "connect", built)
    maven("package", cwd=built)
    return built / "target" / "lib"


def settings(options, file, written, own, more=""):
    """A file of settings as it stands here, but for where things are, for what is planted, and for what only the check needs."""
    right, wrong = FAULTS.get(options.plant, ("", ""))
    text = file.read_text()
    if right and right in text:
        text = text.replace(right, wrong)
        planted.add(options.plant)
    for shown, here in own.items():
        text = text.replace(shown, here)
    written.write_text(text + more)
    return written


def until(child, holds, limit=120):
    deadline = time.monotonic() + limit
    while not holds():
        child.must_run()
        # A task that has failed leaves its worker running.
        if "Task threw an uncaught" in child.text() or time.monotonic() > deadline:
            raise SystemExit(f"{child.name} does not go on\n{child.tail()}")
        time.sleep(0.05)


if __name__ == "__main__":
    packages = (TARGET / "sinks-python", HERE / "requirements.txt")
    sys.exit(carry_out("sinks", arguments, run, PROGRAMS, ("all of them, once", "NOT all of them, once"), packages))
