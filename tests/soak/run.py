#!/usr/bin/env python3
"""Nothing lost, nothing twice, whatever is killed: judged from outside.

    python3 tests/soak/run.py                # five minutes, ten kills, 200 promoters

Starts a real Kafka, the simulated upstream with its faults, and the connector; kills the connector with SIGKILL at
random moments and starts it again; waits until everything was shown and published; then compares what a read_committed
consumer that shares no code with the connector has found with what the upstream says it has shown, as exact multisets.
Exits with 0 only if they are the same and the connector never ended by itself.

Needs Rust, Java 17 or later, Maven, and Python 3.11 or later; the two Python packages are installed below target/.
"""

import argparse
import random
import sys
import time

from parts import ROOT, carry_out, configuration, promoter_id


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=5, help="how long facts come and faults happen")
    parser.add_argument("--kills", type=int, default=10, help="SIGKILLs of the connector within that time")
    parser.add_argument("--promoters", type=int, default=200)
    parser.add_argument("--faults", default="many", help="of the simulated upstream: none, some or many")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="of the world and of the kills")
    parser.add_argument("--settle", type=float, default=180, help="seconds that the end may take")
    parser.add_argument("--release", action="store_true", help="the optimised binary")
    return parser.parse_args()


def run(options, world):
    # Its packages are there only within the environment.
    from judge import Found, compare, truth

    flags = [f"--seed={options.seed}", f"--promoters={options.promoters}", f"--faults={options.faults}"]
    flags += [f"--quiet-after={round(options.minutes * 60)}s", "--spell=5s", "--late-max=40s", "--moving=20s"]
    world.begin(*flags, "--history=1h", "--touches-per-hour=300", "--orders-per-hour=60")
    names = ", ".join(f'"{promoter_id(number)}"' for number in range(1, options.promoters + 1))
    config = configuration(world, "connector", 6, f"promoters = [{names}]")
    (world.directory / "connector.toml").write_text(config)

    begin = time.monotonic()
    chance = random.Random(options.seed)
    kills = sorted(chance.uniform(2, options.minutes * 60) for _ in range(options.kills))
    running = world.connector("connector")
    found = Found(world.bootstrap, ROOT / "schemas")

    told = 0.0
    deadline = begin + options.minutes * 60 + options.settle
    while time.monotonic() < deadline:
        found.poll()
        if kills and time.monotonic() - begin >= kills[0]:
            kills.pop(0)
            running.kill9()
            print(f"{time.monotonic() - begin:6.1f} s  killed", flush=True)
            running = world.connector("connector")
        for child in world.children.values():
            child.must_run()
        if time.monotonic() - told > 10:
            told = time.monotonic()
            settlement = world.settlement()
            print(f"{told - begin:6.1f} s  shown {settlement['shown']}, published {found.count()}", flush=True)
            if settlement["settled"] and not kills and compare(truth(world.ask("_truth")), found).is_exact():
                break

    # Whatever the loop ended with: the stop is in order, and what it still publishes counts.
    code = running.terminate(60)
    found.read_to_end()
    verdict = compare(truth(world.ask("_truth")), found)
    print(f"connector stopped with {code} on SIGTERM")
    print(verdict)
    return verdict.is_exact() and verdict.shown > 0 and code == 0


if __name__ == "__main__":
    sys.exit(carry_out("kills", arguments, run, told=["connector"]))
