#!/usr/bin/env python3
"""A fleet that nothing spares, judged from outside: nothing lost, nothing twice.

    python3 tests/soak/fleet.py                          # three instances, 2,000 promoters, two minutes
    python3 tests/soak/fleet.py --minutes 10 --release   # as long as it takes to believe it
    python3 tests/soak/fleet.py --previous PATH          # whoever starts is this version or that binary, as chance has it

Starts a real Kafka, the simulated upstream with its faults, and a fleet. A quarter of the promoters stands in the table that
the instances read again whenever it changes; all others are registered through the topic while they run, some of them are
paused and removed, and all come back. Meanwhile instances are killed with SIGKILL, stopped with SIGTERM, stopped and started
one after the other, and held with SIGSTOP for longer than their session. At the end everything is polled, and what a
read_committed consumer that shares no code with the connector has found is compared with what the upstream says it has
shown, as exact multisets. Exits with 0 only if they are the same and no instance ended by itself.

Needs Rust, Java 17 or later, Maven, and Python 3.11 or later; the two Python packages are installed below target/.
"""

import argparse
import json
import random
import signal
import sys
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

from parts import ROOT, carry_out, configuration, promoter_id

POLLING = "log is open, polling begins"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=2, help="how long facts come and faults happen")
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--promoters", type=int, default=2000)
    parser.add_argument("--partitions", type=int, default=12)
    parser.add_argument("--session", type=float, default=6, help="session.timeout.ms of the instances, in seconds")
    parser.add_argument("--pause", type=float, default=6, help="seconds from one harm to the next, on average")
    parser.add_argument("--touches-per-hour", type=float, default=60, help="per promoter")
    parser.add_argument("--orders-per-hour", type=float, default=12, help="per promoter")
    parser.add_argument("--pace", type=int, default=4, help="seconds between two polls of a busy promoter")
    parser.add_argument("--faults", default="many", help="of the simulated upstream: none, some or many")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="of the world and of all harm")
    parser.add_argument("--settle", type=float, default=300, help="seconds that the end may take")
    parser.add_argument("--release", action="store_true", help="the optimised binary")
    parser.add_argument("--previous", type=Path, help="the binary of another version, for half of all starts")
    return parser.parse_args()


class Registry:
    """Who is to be polled: the table that the instances read, and the registry topic, written by a stranger."""

    def __init__(self, world, promoters, chance):
        from confluent_kafka import Producer

        self.path, self.chance = world.directory / "promoters.csv", chance
        ids = [promoter_id(number) for number in range(1, promoters + 1)]
        chance.shuffle(ids)
        self.listed, self.unknown = ids[: promoters // 4], ids[promoters // 4 :]
        self.registered, self.left = [], []
        # Some of the table come only later.
        self.waiting = [self.listed.pop() for _ in range(len(self.listed) // 3)]
        self.counts = Counter()
        self.producer = Producer({"bootstrap.servers": world.bootstrap, "partitioner": "murmur2_random", "acks": "all"})
        self.write_table()

    def write_table(self):
        fresh = self.path.with_suffix(".next")
        fresh.write_text("promoter\n" + "".join(f"{name}\n" for name in self.listed))
        fresh.replace(self.path)

    def say(self, name, record):
        value = None
        if record is not None:
            value = json.dumps({"app_id": "wx_simulated", "promoter_openid": name, **record})
        headers = [("content-type", b"application/json")]
        self.producer.produce("promoter.registry", key=f"wx_simulated/{name}", value=value, headers=headers)
        self.producer.poll(0)

    def register(self, names):
        for name in names:
            self.say(name, {})
        self.registered += names
        self.counts["registered"] += len(names)

    def change(self, share):
        """Does what may happen in a moment of which there are `share` in a run."""
        self.register([self.unknown.pop() for _ in range(min(len(self.unknown), share))])
        for _ in range(self.chance.randrange(4)):
            if self.registered:
                name = self.registered.pop(self.chance.randrange(len(self.registered)))
                is_paused = self.chance.random() < 0.5
                self.say(name, {"paused": True} if is_paused else None)
                self.counts["paused" if is_paused else "removed"] += 1
                self.left.append(name)
        if self.left and self.chance.random() < 0.5:
            self.register([self.left.pop(self.chance.randrange(len(self.left)))])
        if self.chance.random() < 0.2:
            self.change_table()

    def change_table(self):
        if self.listed and self.chance.random() < 0.5:
            self.waiting.append(self.listed.pop(self.chance.randrange(len(self.listed))))
        elif self.waiting:
            self.listed.append(self.waiting.pop(self.chance.randrange(len(self.waiting))))
        self.counts["tables"] += 1
        self.write_table()

    def all(self):
        """Everybody is polled from now on."""
        self.register(self.unknown + self.left)
        self.unknown, self.left = [], []
        self.listed += self.waiting
        self.waiting = []
        self.write_table()
        self.producer.flush(60)


class Fleet:
    """The instances, and what is done to them."""

    def __init__(self, world, options, chance):
        self.world, self.session, self.chance = world, options.session, chance
        self.binaries = {"this version": None}
        if options.previous:
            self.binaries["previous version"] = options.previous
        self.names = [f"instance-{number}" for number in range(1, options.instances + 1)]
        # What is to be done when, with the instance that it is done to.
        self.due = []
        self.away, self.frozen = set(), set()
        self.counts = Counter()
        milliseconds = round(options.session * 1000)
        # Before the first fact. From the earliest time on, everybody would wait for who is registered last: no backfill runs ahead.
        start_from = (datetime.now(timezone.utc) - timedelta(hours=2)).isoformat(timespec="seconds")
        group = f'"session.timeout.ms" = {milliseconds}\n"heartbeat.interval.ms" = 500'
        for name in self.names:
            promoters = 'promoters_file = "promoters.csv"'
            config = configuration(world, name, options.partitions, promoters, options.pace, start_from, group)
            (world.directory / f"{name}.toml").write_text(config)

    def start(self, name):
        self.away.discard(name)
        version = self.chance.choice(list(self.binaries))
        self.world.connector(name, self.binaries[version])
        self.counts[f"starts of {version}"] += 1

    def instance(self, name):
        return self.world.children[name]

    def later(self, seconds, what, name):
        self.due.append((time.monotonic() + seconds, what, name))

    def go_on(self):
        """Does what is due by now."""
        now = time.monotonic()
        due = [entry for entry in self.due if entry[0] <= now]
        self.due = [entry for entry in self.due if entry[0] > now]
        for _, what, name in due:
            what(name)

    def thaw(self, name):
        self.instance(name).send(signal.SIGCONT)
        self.frozen.discard(name)

    def stop(self, name):
        code = self.instance(name).terminate(60)
        if code != 0:
            raise SystemExit(f"{name} stopped with {code} on SIGTERM\n{self.instance(name).tail()}")
        self.away.add(name)

    def harm(self):
        """One of the ways in which a fleet is harmed; gives its name."""
        present = [name for name in self.names if name not in self.away | self.frozen]
        if not present:
            return None
        name, way = self.chance.choice(present), self.chance.random()
        if way < 0.35:
            self.instance(name).kill9()
            self.away.add(name)
            self.later(self.chance.choice([0, 0, 2, self.session * 1.5]), self.start, name)
            return self.tell("killed", name)
        if way < 0.6:
            self.stop(name)
            self.later(self.chance.choice([0, 2, self.session * 1.5]), self.start, name)
            return self.tell("stopped", name)
        if way < 0.85:
            self.instance(name).send(signal.SIGSTOP)
            self.frozen.add(name)
            self.later(self.session * self.chance.uniform(1.2, 2), self.thaw, name)
            return self.tell("frozen", name)
        for each in present:
            self.stop(each)
            self.start(each)
        return self.tell("rolled", "all that run")

    def tell(self, what, name):
        self.counts[what] += 1
        return f"{name} {what}"

    def make_good(self):
        """Whoever is away or stands still is back."""
        for name in list(self.frozen):
            self.thaw(name)
        for name in list(self.away):
            self.start(name)
        self.due = []

    def must_run(self):
        for name, child in self.world.children.items():
            if name not in self.away:
                child.must_run()

    def terminate(self):
        """How each ends."""
        return {name: self.instance(name).terminate(60) for name in self.names}

    def said(self):
        """What the logs of all lives of all instances say that tells how they fared."""
        counts = Counter()
        for name in self.names:
            text = self.instance(name).text()
            counts["shards taken up"] += text.count(POLLING)
            counts["batches without lost shards"] += text.count("shards are not owned any more")
            counts["logs opened again"] += text.count("the log is opened again")
            counts["tables read again"] += text.count("the configuration was read again")
        return counts


def run(options, world):
    # Its packages are there only within the environment.
    from judge import Found, compare, truth

    flags = [f"--seed={options.seed}", f"--promoters={options.promoters}", f"--faults={options.faults}"]
    flags += [f"--quiet-after={round(options.minutes * 60 + 10)}s", "--spell=5s", "--late-max=40s", "--moving=20s"]
    flags += [f"--touches-per-hour={options.touches_per_hour}", f"--orders-per-hour={options.orders_per_hour}"]
    world.begin(*flags, "--history=30m")
    chance = random.Random(options.seed)
    registry = Registry(world, options.promoters, chance)
    fleet = Fleet(world, options, chance)
    begin = time.monotonic()
    for name in fleet.names:
        fleet.start(name)
    found = Found(world.bootstrap, ROOT / "schemas")

    end = begin + options.minutes * 60
    share = 1 + 3 * len(registry.unknown) // round(options.minutes * 60)
    next_change, next_harm, told = begin + 5, begin + 10, 0.0
    last_count, last_growth, pause_max = 0, begin, 0.0
    lively, exact_after = True, None
    while time.monotonic() < end + options.settle:
        found.poll()
        now = time.monotonic()
        if found.count() > last_count or not lively:
            pause_max = max(pause_max, now - last_growth if last_count else 0.0)
            last_count, last_growth = found.count(), now
        fleet.go_on()
        fleet.must_run()
        if lively and now >= end:
            lively = False
            fleet.make_good()
            registry.all()
            print(f"{now - begin:6.1f} s  everybody is registered, and nobody harmed any more", flush=True)
        if lively and now >= next_change:
            next_change = now + 2
            registry.change(share)
        if lively and now >= next_harm:
            next_harm = now + chance.uniform(1, 2 * options.pause)
            harm = fleet.harm()
            if harm:
                print(f"{now - begin:6.1f} s  {harm}", flush=True)
        if now - told > 10:
            told = now
            settlement = world.settlement()
            print(f"{now - begin:6.1f} s  {shown(settlement)}, published {found.count()}", flush=True)
            if not lively and settlement["settled"] and compare(truth(world.ask("_truth")), found).is_exact():
                exact_after = time.monotonic() - end
                break

    # Whatever the loop ended with: the stops are in order, and what they still publish counts.
    codes = fleet.terminate()
    found.read_to_end()
    verdict = compare(truth(world.ask("_truth")), found)
    print(f"stopped on SIGTERM with {codes}")
    print("done to it: " + ", ".join(f"{count} {what}" for what, count in (fleet.counts + registry.counts).items()))
    print("logs: " + ", ".join(f"{count} {what}" for what, count in fleet.said().items()))
    print(f"longest pause of all publishing, while harmed: {pause_max:.1f} s")
    if exact_after is None:
        print(f"not at its end {options.settle:.0f} s after the last harm: {shown(world.settlement())}")
    else:
        print(f"all was shown and published {exact_after:.0f} s after the last harm")
    print(verdict)
    return exact_after is not None and verdict.is_exact() and verdict.shown > 0 and set(codes.values()) == {0}


def shown(settlement):
    return "shown {shown} of {visible} that can be seen, of {existing}".format(**settlement)


if __name__ == "__main__":
    sys.exit(carry_out("fleet", arguments, run))
