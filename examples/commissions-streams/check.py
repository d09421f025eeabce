#!/usr/bin/env python3
"""The commissions are those of the upstream's truth, to the fen, whatever is killed.

    python3 examples/commissions-streams/check.py                  # some two minutes; values as Avro single objects
    python3 examples/commissions-streams/check.py --instances 2    # of the example, which share the promoters
    python3 examples/commissions-streams/check.py --registry       # in Confluent's framing, with a real schema registry
    python3 examples/commissions-streams/check.py --plant rate     # must fail, and so must the other faults to be planted

Starts a real Kafka, the simulated upstream with its faults and two apps, the connector and the example; kills both with SIGKILL, the example
while it has work, and each time when what was started after the kill before works; and waits until the upstream shows nothing new, every order of it is on the topic, and the offsets that
the example has committed are behind the last of them. Then an order is refunded, behind one of an aborted transaction; and a payment comes
twice, under a second promoter, and under the same number at another merchant. When that is read, too, the topic of results, read as a
stranger would, and the answers of the example are compared with what the upstream says it has shown. Exits with 0 only if every day of every promoter is the same.

Needs Rust, Java 17 or later, Maven, and Python 3.11 or later; the Python packages are installed below target/. PROMOTER_BINARIES names
a directory, laid out as target/debug is, whose connector and broker are taken instead of building them.
"""

import argparse
import json
import random
import sys
import time
import urllib.request
from itertools import product
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests" / "soak"), str(HERE.parent / "checking"), str(HERE)]
from connector import APPS, promoters, start_connector  # noqa: E402
from java import Registry, free_ports  # noqa: E402
from parts import carry_out, tell  # noqa: E402
from processes import build, commissions_settings, start_java  # noqa: E402

BASIS_POINTS = 500
HISTORY_DAYS = 3
APP = "promoter.commissions.CommissionsApp"
# While a partition moves to another instance nobody answers for it.
ANSWER_SECONDS_MAX = 60


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=30, help="how long facts come and faults happen, beside the history")
    parser.add_argument("--kills", type=int, default=2, help="SIGKILLs of the connector, and as many of the example")
    parser.add_argument("--instances", type=int, default=1, help="of the example")
    parser.add_argument("--promoters", type=int, default=10, help="of each of the two apps")
    parser.add_argument("--orders-per-hour", type=int, default=20, help="of each promoter, over three days of history")
    parser.add_argument("--registry", action="store_true", help="values in Confluent's framing, by a schema registry")
    parser.add_argument("--plant", choices=["event", "rate", "refund", "rush"], help="a fault that has to be found: an order that the "
                        "upstream never showed, of one fen of commission; a rate that is one basis point too high; "
                        "a refund that nobody asked for; kills that wait for nothing in between")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="of the world and of the kills")
    parser.add_argument("--settle", type=int, default=240, help="seconds that the end may take")
    parser.add_argument("--release", action="store_true", help="the optimised connector")
    return parser.parse_args()


def run(options, world):
    # Their packages are there only within the environment.
    from events import Events, refund_an_order, tell_again
    from topics import Results
    from truth import differences, differences_of, expected, lines_of

    build()
    ports = start(options, world)
    with Events(world.bootstrap, "order") as orders, Results(world.bootstrap) as results:
        kills_left = follow(options, world, orders, results)
        lines = refund_an_order(orders, lines_of(world.ask("_truth")), options.plant)
        lines = tell_again(orders, lines)
        kills_left += follow(options, world, orders, results)
        results.read_to_end()

    truth, late = expected(lines, BASIS_POINTS)
    answered = ask_instances(options, ports)
    codes = {name: world.children[name].terminate(60) for name in ports}
    wrong = differences("topic", truth, results.days) + differences("query", truth, answered)
    killed = tell(not kills_left, f"connector and example killed {options.kills} times each, {kills_left} fewer; then stopped with {codes}")
    seen = tell(truth and late > 0, f"{results.count} results for {len(results.days)} days of promoters, {sum(results.days.values())} fen; "
                f"{sum(truth.values())} by the truth; {late} refunds corrected an earlier day")
    return tell(not wrong, differences_of(wrong) or "no difference, on the topic or asked for") and seen and killed


def start(options, world):
    """Everything; the ports of the example's instances by their names."""
    flags = [f"--seed={options.seed}", f"--promoters={options.promoters}", f"--quiet-after={options.seconds}s"]
    flags += ["--spell=3s", "--late-max=20s", "--moving=20s", f"--history={HISTORY_DAYS}d", "--refund-within=2d"]
    # Each page after the first may begin with a row of the one before. With the usual share of such pages a day of thousands of orders
    # is seldom read twice alike, so the connector, which takes it for whole only then, asks again and again.
    flags += ["--duplicates=0.002"]
    world.begin(*(f"--app={app}" for app in APPS), *flags, "--touches-per-hour=2", f"--orders-per-hour={options.orders_per_hour}")
    registry = Registry(world).url if options.registry else None
    start_connector(world, options.promoters, 6, HISTORY_DAYS, registry, APPS).wait_for(r"(log is open, polling begins)", 60)

    instances = [f"commissions-{number}" for number in range(1, options.instances + 1)]
    ports = dict(zip(instances, free_ports(len(instances))))
    for name, port in ports.items():
        commissions_settings(world, name, port, BASIS_POINTS + (options.plant == "rate"), registry)
        start_java(world, name, APP)
    return ports


def follow(options, world, orders, results):
    """Reads to the end of everything, and kills on the way there; the kills that no work was left for."""
    begin, told = time.monotonic(), 0
    chance = random.Random(options.seed)
    # The refund comes when all were killed.
    kills = {} if results.count else {"connector": ConnectorKills(orders, options), "example": Kills(results, options)}
    while time.monotonic() < begin + options.seconds + options.settle:
        orders.poll()
        results.poll()
        for whom, planned in kills.items():
            if planned.are_due(world, orders):
                kill(world, chance, whom, planned, orders, results)
        for child in world.children.values():
            child.must_run()
        if time.monotonic() - told > 10:
            told = time.monotonic()
            print(f"{told - begin:6.1f} s  {orders.count} orders, {results.count} results", flush=True)
        if world.settlement()["settled"] and orders.are_all(world.ask) and results.are_of(orders):
            return sum(planned.left for planned in kills.values())
    raise SystemExit(f"not at its end {options.settle} s after the last fact: {world.settlement()}, "
                     f"{orders.count} orders, behind by {results.progress.behind(orders)}")


class Kills:
    """When the example is killed: while it has work; the first time in the first half of a small world, then each time when as many results
    have come again, of those written after the kill before. So none hits a process that has only begun to start."""

    def __init__(self, topic, options):
        # There is a third of it at least, whoever is busy and whoever silent.
        about = len(APPS) * options.promoters * options.orders_per_hour * 24 * HISTORY_DAYS // 3
        self.topic, self.left, self.done, self.step = topic, options.kills, 0, about // (2 * options.kills + 2)
        self.next, self.since, self.rush = self.step, None, options.plant == "rush"

    def are_due(self, world, orders):
        return self.left > 0 and self.topic.count >= self.next and self.has_work(world, orders)

    def has_work(self, world, orders):
        return not self.topic.are_of(orders)

    def killed(self):
        """Reads what was written up to the kill, before anybody is started again."""
        if self.since == self.topic.count:
            raise SystemExit(f"killed twice at {self.since} records of {self.topic.topic}, and nothing in between")
        self.topic.read_to_end()
        self.left, self.done, self.since = self.left - 1, self.done + 1, self.topic.count
        self.next = 0 if self.rush else self.since + self.step


class ConnectorKills(Kills):
    """When the connector is killed: with so many orders on the topic, and each time when it polls again. It may have read all that was there by then."""

    def has_work(self, world, orders):
        return world.children["connector"].text().count("polling begins") > self.done

    def killed(self):
        self.left, self.done = self.left - 1, self.done + 1


def kill(world, chance, whom, planned, orders, results):
    name = whom if whom == "connector" else chance.choice([name for name in world.children if name.startswith("commissions")])
    world.children[name].kill9()
    planned.killed()
    print(f"{name} killed, after {orders.count} orders and {results.count} results", flush=True)
    world.connector(name) if whom == "connector" else start_java(world, name, APP)


def ask_instances(options, ports):
    """What every promoter is told by the first instance, which sends on whom it does not have."""
    days = {}
    first = next(iter(ports.values()))
    for app, promoter_openid in product(APPS, promoters(options.promoters)):
        promoter = f"{app}/{promoter_openid}"
        told = ask_again(f"http://127.0.0.1:{first}/commissions/{promoter}")
        days |= {f"{promoter}/{day}": fen for day, fen in told.items()}
    return days


def ask_again(url):
    """The answer, however often 503 comes first, or nothing because an instance has just been started."""
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)
        except OSError as error:
            if getattr(error, "code", 503) != 503 or time.monotonic() > deadline:
                raise SystemExit(f"{url}: {error}") from error
            time.sleep(0.5)


if __name__ == "__main__":
    told = ["connector", "commissions-1", "commissions-2"]
    sys.exit(carry_out("commissions", arguments, run, told, ("to the fen", "NOT to the fen")))
