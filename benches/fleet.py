#!/usr/bin/env python3
"""How long polling pauses when an instance joins, stops or is killed: the optimised binary, one broker, an upstream that notes when
it is asked for whom and by which instance.

    python3 benches/fleet.py                 # join, stop and kill, one after the other, as often as --rounds says

join  a third instance starts beside two.
stop  it gets SIGTERM.
kill  it gets SIGKILL: what it had stands still until its session is over (session.timeout.ms).

Of each promoter the longest time between two polls counts, from the event until all is quiet again. Those that another instance
polls afterwards are *moved*, all others *unmoved*; a turn is missed where twice the usual interval has passed.

Needs Rust, Java 17 or later, Maven, and Python 3.11 or later; Python packages are installed below target/. Linux only.
"""

import argparse
import statistics
import threading
import time

from processes import Connector, configuration, enter_environment, measure, quiet_upstream

EVERY = 0.2
SESSION = 15
PARTITIONS = 12


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--only", nargs="+", choices=["join", "stop", "kill"], default=["join", "stop", "kill"])
    parser.add_argument("--promoters", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


class Polls:
    """When each promoter was asked for, and by whom."""

    def __init__(self):
        self.lock, self.noted = threading.Lock(), {}

    def note(self, instance, promoter):
        with self.lock:
            self.noted.setdefault(promoter, []).append((time.monotonic(), instance))

    def since(self, begin):
        """Of each promoter its polls from the last one before `begin` on."""
        with self.lock:
            copies = {promoter: list(polls) for promoter, polls in self.noted.items()}
        behind = {promoter: sum(at < begin for at, _ in polls) for promoter, polls in copies.items()}
        return {promoter: polls[max(0, behind[promoter] - 1):] for promoter, polls in copies.items()}

    def owners(self):
        with self.lock:
            return {promoter: polls[-1][1] for promoter, polls in self.noted.items()}


class Fleet:
    def __init__(self, directory, bootstrap, promoters):
        self.directory, self.polls, self.promoters = directory, Polls(), promoters
        more = f"""
[apps.quota]
getrelation = {{ per_minute = 0 }}
[feeds.touches]
every = "{int(EVERY * 1000)}ms"
idle_every = "{int(EVERY * 1000)}ms"
[feeds.orders]
enabled = false
[feeds.refunds]
enabled = false
"""
        self.texts = {}
        for name in ("one", "two", "three"):
            text = configuration(bootstrap, self.upstream(name), "fleet", promoters, more, name)
            self.texts[name] = text.replace("[kafka]\n", f'[kafka]\n"session.timeout.ms" = {SESSION * 1000}\n').replace(
                "partitions = 6", f"partitions = {PARTITIONS}"
            )
        self.running = {}

    def upstream(self, instance):
        return quiet_upstream(lambda promoter: self.polls.note(instance, promoter))

    def start(self, name):
        self.running[name] = Connector(self.directory, name, self.texts[name])

    def shares(self):
        owners = list(self.polls.owners().values())
        return {name: owners.count(name) for name in self.texts}

    def settle(self, *names):
        """Until each of these polls some, and nobody else any, for a while; all promoters are polled then."""
        quiet, last = time.monotonic(), None
        while time.monotonic() - quiet < 3:
            now = self.polls.owners()
            if now != last or set(now.values()) != set(names) or len(now) < self.promoters:
                quiet, last = time.monotonic(), now
            for name in names:
                self.running[name].child.must_run()
            time.sleep(0.05)

    def longest_gaps(self, begin, before):
        """Of the moved and of the unmoved promoters, in seconds."""
        moved, unmoved = [], []
        for promoter, polls in self.polls.since(begin).items():
            gap = max(later - earlier for (earlier, _), (later, _) in zip(polls, polls[1:]))
            (moved if polls[-1][1] != before[promoter] else unmoved).append(gap)
        return moved, unmoved


def join(fleet):
    fleet.start("three")
    fleet.settle("one", "two", "three")


def stop(fleet):
    fleet.running.pop("three").child.terminate(60)
    fleet.settle("one", "two")


def kill(fleet):
    fleet.running.pop("three").child.kill9()
    fleet.settle("one", "two")


def told(event, moved, unmoved):
    missed = sum(int(gap / EVERY) - 1 for gap in unmoved if gap >= 2 * EVERY)
    figures = [statistics.median(moved), max(moved), statistics.median(unmoved), max(unmoved)]
    return "{}: moved p50 {:.0f} ms, max {:.0f} ms; unmoved p50 {:.0f} ms, max {:.0f} ms, missed turns {}".format(
        event, *(seconds * 1000 for seconds in figures), missed
    )


def pauses(directory, bootstrap, options):
    fleet = Fleet(directory, bootstrap, options.promoters)
    print(f"\npauses: {options.promoters} promoters, {PARTITIONS} partitions, each polled every {EVERY * 1000:.0f} ms; "
          f"3 instances, session.timeout.ms {SESSION * 1000}", flush=True)
    fleet.start("one")
    fleet.settle("one")
    fleet.start("two")
    fleet.settle("one", "two")
    wanted = [event for event in (stop, kill) if event.__name__ in options.only] or [stop]
    found = {event: ([], []) for event in (join, *wanted)}
    for number in range(options.rounds):
        for event in (step for last in wanted for step in (join, last)):
            begin, before = time.monotonic(), fleet.polls.owners()
            event(fleet)
            moved, unmoved = fleet.longest_gaps(begin, before)
            found[event][0].extend(moved)
            found[event][1].extend(unmoved)
            print("  " + told(event.__name__, moved, unmoved), flush=True)
    for event, (moved, unmoved) in found.items():
        if event.__name__ in options.only:
            print(told(event.__name__, moved, unmoved))
    for connector in fleet.running.values():
        connector.child.terminate(60)


def main():
    enter_environment()
    options = arguments()
    measure([pauses], options)


if __name__ == "__main__":
    main()
