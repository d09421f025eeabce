#!/usr/bin/env python3
"""The commissions are those of the upstream's truth, to the fen, whatever is killed.

    python3 examples/commissions-streams/check.py                  # two minutes; values as Avro single objects
    python3 examples/commissions-streams/check.py --registry       # in Confluent's framing, with a real schema registry
    python3 examples/commissions-streams/check.py --plant event    # must fail: see --help

Starts a real Kafka, the simulated upstream with its faults, the connector and two instances of the example; kills both the
connector and instances with SIGKILL; and waits until the upstream has shown everything and the results stand still. Then the
topic of results, read as a stranger would, and the answers of the instances are compared with what the upstream says it has
shown. Exits with 0 only if every day of every promoter is the same.

Needs Rust, Java 17 or later, Maven, and Python 3.11 or later; the Python packages are installed below target/.
"""

import argparse
import json
import random
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests" / "soak"), str(HERE)]
from parts import carry_out, configuration, promoter_id  # noqa: E402
from processes import Registry, build, commissions_settings, free_ports, start_java  # noqa: E402

BASIS_POINTS = 500
INSTANCES = ["commissions-1", "commissions-2"]
# How long nothing may change, once everything was shown, before it counts as the end.
STILL_SECONDS = 10


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=int, default=60, help="how long facts come and processes are killed")
    parser.add_argument("--kills", type=int, default=2, help="SIGKILLs of the connector, and as many of instances")
    parser.add_argument("--promoters", type=int, default=20)
    parser.add_argument("--registry", action="store_true", help="values in Confluent's framing, by a schema registry")
    parser.add_argument("--plant", choices=["event", "rate", "refund"], help="a fault that has to be found: an order that the "
                        "upstream never showed, of one fen of commission; a rate that is a hundredth of a percent too high; "
                        "a refund that nobody asked for, of an order of yesterday")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="of the world and of the kills")
    parser.add_argument("--settle", type=int, default=120, help="seconds that the end may take")
    parser.add_argument("--release", action="store_true", help="the optimised connector")
    return parser.parse_args()


def run(options, world):
    # Their packages are there only within the environment.
    from truth import Results, differences, expected, plant

    build()
    flags = [f"--seed={options.seed}", f"--promoters={options.promoters}", f"--quiet-after={options.seconds}s"]
    flags += ["--spell=3s", "--late-max=20s", "--moving=20s", "--history=3d", "--refund-within=2d"]
    world.begin(*flags, "--touches-per-hour=10", "--orders-per-hour=100")
    registry = Registry(world).url if options.registry else None
    names = ", ".join(f'"{promoter_id(number)}"' for number in range(1, options.promoters + 1))
    config = configuration(world, "connector", 6, f"promoters = [{names}]")
    config += f'[schema_registry]\nurl = "{registry}"\n' if registry else ""
    (world.directory / "connector.toml").write_text(config)
    world.connector("connector").wait_for(r"(log is open, polling begins)", 60)

    basis_points = BASIS_POINTS + (options.plant == "rate")
    ports = dict(zip(INSTANCES, free_ports(len(INSTANCES))))
    for name, port in ports.items():
        commissions_settings(world, name, port, basis_points, registry)
        start_java(world, name, "promoter.commissions.CommissionsApp")
    results = Results(world.bootstrap)
    follow(options, world, results)
    if options.plant in ("event", "refund"):
        plant(world, options.plant)
        follow(options, world, results)

    truth, late = expected(world.ask("_truth"), BASIS_POINTS)
    answered = ask_instances(options, ports)
    codes = {name: world.children[name].terminate(60) for name in INSTANCES}
    results.poll_all()
    wrong = differences("topic", truth, results.days) + differences("query", truth, answered)
    print(f"connector and instances killed {options.kills} times each; then stopped with {codes}")
    print(f"{results.count} results for {len(results.days)} days of promoters, {sum(results.days.values())} fen; "
          f"{sum(truth.values())} by the truth; {late} refunds corrected an earlier day")
    print("\n".join(wrong[:10]) + (f"\n{len(wrong)} differences" if wrong else "no difference, on the topic or asked for"))
    return not wrong and truth and late > 0


def follow(options, world, results):
    """Kills until nobody is to be killed any more, and reads until all was shown and the results stand still."""
    begin = time.monotonic()
    chance = random.Random(options.seed)
    ways = ["connector", "instance"] * options.kills if not results.count else []
    kills = [(options.seconds * (at + 1) / (len(ways) + 1), way) for at, way in enumerate(ways)]
    changed, told = begin, begin
    while time.monotonic() < begin + options.seconds + options.settle:
        now = time.monotonic()
        if kills and now - begin >= kills[0][0]:
            name = kills.pop(0)[1]
            name = chance.choice(INSTANCES) if name == "instance" else name
            world.children[name].kill9()
            print(f"{now - begin:6.1f} s  {name} killed, after {results.count} results", flush=True)
            world.connector(name) if name == "connector" else start_java(world, name, "promoter.commissions.CommissionsApp")
        for child in world.children.values():
            child.must_run()
        if results.poll():
            changed = now
        if now - told > 10:
            told = now
            print(f"{now - begin:6.1f} s  {results.count} results", flush=True)
        if now - changed > STILL_SECONDS and not kills and world.settlement()["settled"]:
            return
    print(f"not at its end {options.settle} s after the last fact: {world.settlement()}")


def ask_instances(options, ports):
    """What every promoter is told by an instance, whichever has it: the first one sends on whom it does not have."""
    import urllib.request

    days = {}
    first = next(iter(ports.values()))
    for number in range(1, options.promoters + 1):
        promoter = f"wx_simulated/{promoter_id(number)}"
        with urllib.request.urlopen(f"http://127.0.0.1:{first}/commissions/{promoter}", timeout=30) as answer:
            days |= {f"{promoter}/{day}": fen for day, fen in json.load(answer).items()}
    return days


if __name__ == "__main__":
    sys.exit(carry_out("commissions", arguments, run, told=["connector", *INSTANCES]))
