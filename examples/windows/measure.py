#!/usr/bin/env python3
"""How late records are, and what windows of which grace keep of them: the table of docs/time.md.

    python3 examples/windows/measure.py                  # all cases, some four minutes
    python3 examples/windows/measure.py --only live
    python3 examples/windows/measure.py --plant spread   # must fail, and so must idle: see --help

Starts a real Kafka, the simulated upstream and one connector after the other. Each reads touches or orders as a case says. When all that
the upstream has shown is on the topic, the records of each partition are taken in their order, by the rule of Kafka Streams: the time of
a partition is the greatest of the times met in it, and a record is left out whose window has ended longer ago than the grace. (Flink's
watermark, with as much bounded out-of-orderness and no lateness allowed, leaves out the same of one partition.) A case that
says how late a record can be fails where one is later; one that says nothing, for there only the length of the past bounds it, is measured only.
Where no record is late at all nothing was measured, and it fails, too. In a backfill that is how late
it is behind others' past: behind what somebody shows who is up to date already it is later, which is told.

Needs Rust, Java 17 or later, Maven, and Python 3.11 or later; the Python packages are installed below target/. PROMOTER_BINARIES names
a directory, laid out as target/debug is, whose connector and broker are taken instead of building them.
"""

import argparse
import random
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests" / "soak"), str(HERE.parent / "checking"), str(HERE)]
from parts import carry_out, promoter_id, tell  # noqa: E402

MINUTE, HOUR, DAY = 60, 3600, 86_400
HISTORY_DAYS, REFUND_DAYS = 4, 2
# Rows that can't be read are on another topic. Who is parked is asked again a quarter of an hour later, and nobody here waits for that.
ALL = ["--dead-rows=0", "--fault=parked=0"]
# A past that is all there when it is asked for.
AT_ONCE = ["--quiet-after=1s", "--late-max=5s", "--moving=5s"]
TOUCHES = [*ALL, *AT_ONCE, "--touches-per-hour=20", "--orders-per-hour=0"]
# Many promoters, of whom some have nothing for a day, and then something now.
SELDOM = [*ALL, *AT_ONCE, "--touches-per-hour=0.3", "--orders-per-hour=0"]
ORDERS = [*ALL, *AT_ONCE, "--touches-per-hour=0", "--orders-per-hour=5", f"--refund-within={REFUND_DAYS}d"]
# No call fails: what waits after a failed one has no bound but the times of [retry], up to minutes.
LIVE = [*ALL, "--faults=none", "--history=1s", "--quiet-after=100s", "--touches-per-hour=900", "--orders-per-hour=0", "--late-max=30s"]
# The default lateness of touches.
LATENESS = 10 * MINUTE
# How late a touch may be seen by its feed's settings, and the longest time between two polls, in the case of facts of now (seconds).
LIVE_LATENESS, LIVE_IDLE = 35, 5


@dataclass
class Case:
    """A reading of a topic, and how late a record can be there (seconds): behind those that are older than `present` when it begins.
    Nothing where that is as far as the history goes back: no record could be later, so a bound could not fail."""

    title: str
    world: list
    late_max: int | None
    window: int
    graces: list
    # Seconds that the history reaches back; 0 where there is none, and facts come while they are read.
    back: int = HISTORY_DAYS * DAY
    feeds: tuple = ("touches",)
    partitions: int = 1
    promoters: int = 20
    # Who has nothing to show up to there is up to date at once, and waits for nobody: what he shows then comes before the past of others.
    present: int = 0
    spread: str = "6h"
    # Of the orders those of this status only.
    status: str = None

    def __post_init__(self):
        if self.back and self.late_max is not None and self.late_max >= self.back:
            raise ValueError(f"{self.title}: no record of {self.back} s can be later than {self.late_max} s")

    def schema(self):
        return "touch" if "touches" in self.feeds else "order"

    def topic(self, prefix):
        return f"{prefix}.{self.feeds[0]}"

    def wants(self, value):
        return self.status is None or value["status"] == self.status


def cases():
    graces = [0, 10 * MINUTE, HOUR, 6 * HOUR + LATENESS, DAY, 3 * DAY]
    # Orders are read day by day and so are at least a day apart; and of docs/time.md's sum all but the next day's 24 hours: this upstream
    # lists no payment under it.
    days = DAY + (24 + 8 + 12) * HOUR
    past = [
        Case("touches, two hours back, as after a downtime", TOUCHES, None, HOUR, graces, back=2 * HOUR),
        Case("touches, backfill", TOUCHES, 6 * HOUR, HOUR, graces, present=LATENESS),
        Case("touches, backfill, 12 partitions", TOUCHES, 6 * HOUR, HOUR, graces, partitions=12, present=LATENESS),
        Case('touches, backfill, catch_up_spread = "30m"', TOUCHES, 30 * MINUTE, HOUR, graces, spread="30m", present=LATENESS),
        Case("touches, backfill, 100 promoters with one each three hours", SELDOM, 6 * HOUR, HOUR, graces, promoters=100, present=LATENESS),
        Case("payments alone, backfill", ORDERS, days, HOUR, graces, feeds=("orders",), status="PAID"),
        Case("orders, backfill, without the feed of refunds", ORDERS, None, HOUR, graces, feeds=("orders",)),
        Case("orders, backfill, and refunds", ORDERS, None, HOUR, graces, feeds=("orders", "refunds")),
    ]
    live = Case("touches of now, shown up to 30 s late, no call failing", LIVE, LIVE_LATENESS + LIVE_IDLE, 10, [0, 10, 20, 30, 40], back=0)
    return {"live": [live], "past": past}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["live", "past"])
    parser.add_argument("--plant", choices=["spread", "idle"], help="a fault that has to be found: a connector whose promoters do not go "
                        "through a backfill together, catch_up_spread being a thousand days; or one that polls facts of now each half a "
                        "minute only")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="of the worlds")
    parser.add_argument("--release", action="store_true", help="the optimised connector")
    return parser.parse_args()


def run(options, world):
    world.begin_broker()
    verdicts = []
    for kind, of_kind in cases().items():
        for number, case in enumerate(of_kind):
            if options.only in (None, kind):
                verdicts.append(measure(options, world, case, f"{kind}-{number}"))
    return all(verdicts)


def measure(options, world, case, name):
    """Prints what windows keep of a case; whether no record was later than it says, and some were late."""
    # Its packages are there only within the environment.
    from partitions import Partitions

    spread = "1000d" if options.plant == "spread" else case.spread
    history = [f"--history={case.back}s"] if case.back else []
    began = int(time.time())
    world.simulate(f"upstream-{name}", f"--seed={options.seed}", f"--promoters={case.promoters}", *case.world, *history)
    every, idle = ("30s", "30s") if options.plant == "idle" else ("1s", f"{LIVE_IDLE}s")
    (world.directory / f"{name}.toml").write_text(configuration(world, case, name, spread, every, idle))
    connector = world.connector(name)
    with Partitions(world.bootstrap, case.topic(name), case.schema(), case.wants) as topic:
        wait_for_end(world, topic, connector)
    code = connector.terminate(60)
    latest = topic.latest()
    of_past = topic.latest(until=began - case.present) if case.present else latest
    kept = ["{} {:.1f} %".format(text(grace), 100 * topic.kept(case.window, grace)) for grace in case.graces]
    good = 0 < of_past <= (case.late_max or of_past) and code == 0
    allowed = f"{case.late_max} s allowed" if case.late_max else "measured only"
    behind = f"; {latest} s behind those of the present" if latest != of_past else ""
    return tell(good, f"{case.title}: {topic.count} records; at most {of_past} s late ({allowed}){behind}; "
                f"stopped with {code}\n    windows of {text(case.window)} keep with a grace of  {';  '.join(kept)}")


def wait_for_end(world, topic, connector, limit=400):
    """Until all that the upstream has shown, which is all that it has, is on the topic."""
    deadline, shown = time.monotonic() + limit, None
    while shown is None or topic.count < shown:
        if time.monotonic() > deadline:
            raise SystemExit(f"{topic.count} records after {limit} s: {world.settlement()}\n{connector.tail()}")
        topic.poll()
        connector.must_run()
        if shown is None and world.settlement()["settled"]:
            shown = len(world.ask("_truth").splitlines())


def configuration(world, case, name, spread, every, idle):
    """As in life but for the times of polls. Each case has a connector and topics of its own name."""
    names = ", ".join(f'"{promoter_id(number)}"' for number in range(1, case.promoters + 1))
    start = datetime.now(timezone.utc) - timedelta(seconds=case.back + 10)
    feeds = "".join(f"""
[feeds.{feed}]
enabled = {str(feed in case.feeds).lower()}
every = "{every}"
idle_every = "{idle}"
start_from = "{start.isoformat(timespec="seconds")}"
""" for feed in ("touches", "orders", "refunds"))
    if not case.back:
        feeds = feeds.replace("[feeds.touches]", f'[feeds.touches]\nlateness = "{LIVE_LATENESS}s"')
    return f"""
[connector]
name = "{name}"
[kafka]
"bootstrap.servers" = "{world.bootstrap}"
[topics]
prefix = "{name}"
partitions = {case.partitions}
replication = 1
[poll]
catch_up_spread = "{spread}"
[[apps]]
app_id = "wx_simulated"
secret = "simulated-secret"
base_url = "{world.upstream}"
promoters = [{names}]
{feeds}
[commands]
enabled = false
[retry]
max = "2s"
[admin]
listen = "off"
"""


def text(seconds):
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m")):
        if seconds and seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


if __name__ == "__main__":
    sys.exit(carry_out("windows", arguments, run, (), ("as the page says", "NOT as the page says")))
