#!/usr/bin/env python3
"""Consumers in several languages read the same facts, and all of them, once: what docs/consuming.md shows was run by this.

    python3 examples/consumers/check.py                    # those whose tools are there: Python, read.py, Java, Go, Node, kcat
    python3 examples/consumers/check.py --only go,node     # also spark, which is tried only where it is named: it is large
    python3 examples/consumers/check.py --plant aborted    # must fail, and so must silent: see --help

Starts a real Kafka, the simulated upstream with its faults, and the connector, which is killed with SIGKILL in the middle. When all is
published, an order is written in a transaction that is aborted. Then each consumer reads promoter.orders: the number of its events,
of their event_ids, and the sum of all payments must be what the upstream says it has shown; of kcat, which decodes nothing here, the number of
events, their keys and their times. What a group has committed must stand as far before the end of each partition as docs/consuming.md says, and
what that page shows of the programs must stand in them. Last, each reads an order behind which a value of another frame stands, and has to
fail: what it has counted until then is not the truth.

Needs Rust, Java 17 or later, Maven, and Python 3.11 or later; of Go (1.26), Node (20) and kcat those that are there are tried. Packages
are installed below target/. PROMOTER_BINARIES names a directory, laid out as target/debug is, whose connector and broker are taken
instead of building them.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from functools import cache, partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests" / "soak"), str(HERE.parent / "checking")]
from installed import there  # noqa: E402
from java import maven  # noqa: E402
from page import must_stand_in  # noqa: E402
from parts import ROOT, TARGET, carry_out, environment, tell  # noqa: E402

TOPIC, STRANGE, SCHEMA = "promoter.orders", "strange.orders", ROOT / "schemas" / "order.avsc"
HOME = TARGET / "consumers"
# What each needs.
PROGRAMS = {"python": sys.executable, "read.py": sys.executable, "java": "mvn", "go": "go", "node": "npm", "kcat": "kcat", "spark": "java"}
# What docs/consuming.md shows of each, by its heading there.
SHOWN = {
    "Python": "python/orders.py", "Java": "java/src/main/java/Orders.java", "Go": "go/main.go", "Node": "node/orders.mjs",
    "Spark": "spark/orders.py",
}
# A marker of a transaction is the last of each partition. These commit the offset behind it, and the others that behind the last record.
BEHIND_MARKERS = {"python", "java"}
# Those that commit offsets; of the others there must be none.
WITH_GROUP = {"python", "java", "go", "node"}
# What a value of another frame is held against: kcat decodes nothing, read.py reads both frames, and Spark takes too long to start.
DECODING = {"python", "java", "go", "node"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAMES", help="separated by commas; these have to be there")
    parser.add_argument("--plant", choices=["aborted", "silent"], help="a fault that has to be found: the transaction with an order that "
                        "nobody has shown is committed, so that every consumer sees what it would see of aborted ones if it read uncommitted "
                        "(aborted); or the consumer in Python commits no offset (silent)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="of the world")
    parser.add_argument("--release", action="store_true", help="the optimised connector")
    return parser.parse_args()


def run(options, world):
    # Its packages are there only within the environment.
    from published import begin_world, expected, lags_of, publish_orders, stray_transaction
    from truth import lines_of, orders_of

    for heading, file in SHOWN.items():
        must_stand_in(HERE / file, heading)
    names = there(PROGRAMS, options.only, seldom={"spark"})
    if options.plant == "silent" and "python" not in names:
        raise SystemExit("--plant silent needs python")
    begin_world(world, options.seed)
    publish_orders(world)
    stray_transaction(world.bootstrap, commit=options.plant == "aborted")
    truth = world.ask("_truth")
    wanted = expected(truth) | {"strange": 0}
    print(f"shown: {wanted}", flush=True)
    verdicts = []
    others = {"kcat": partial(kcat, orders_of(lines_of(truth))), "read.py": read_py}
    for name in names:
        began = time.monotonic()
        found = others.get(name, partial(consume, name, options.plant))(world)
        seconds, lags = time.monotonic() - began, lags_of(world.bootstrap, f"orders-{name}")
        faults = differences(found, wanted) + faults_of_group(name, lags)
        verdicts.append(tell(not faults, f"{name}: {found}, after {seconds:.0f} s; lags {lags}" + "".join(f"; {fault}" for fault in faults)))
    strange_frame(world.bootstrap, orders_of(lines_of(truth))[0])
    verdicts += [fails_at_strange_frame(name, options.plant, world) for name in names if name in DECODING]
    return verdicts and all(verdicts) and wanted["events"] > 1000


def differences(found, wanted):
    return [f"{key} has to be {wanted[key]}" for key in found if found[key] != wanted[key]]


def faults_of_group(name, lags):
    """What is not as docs/consuming.md says. Who has a group has some lags: where nothing is committed nothing was looked at."""
    if bool(lags) != (name in WITH_GROUP):
        return ["commits offsets, and has no group"] if lags else ["commits no offset"]
    if all((lag == 0) == (name in BEHIND_MARKERS) for lag in lags):
        return []
    return [f"lags have to be {'0' if name in BEHIND_MARKERS else '1 or more'}"]


def consume(name, plant, world):
    """What a consumer says in its last line."""
    answer = call(name, plant, world, TOPIC)
    if answer.returncode != 0:
        raise SystemExit(f"{name} ended with {answer.returncode}:\n{answer.stdout}{answer.stderr}")
    return json.loads(answer.stdout.splitlines()[-1])


def strange_frame(bootstrap, line):
    """A topic of its own, with an order as it stands on the connector's, and behind it the same framed for a schema registry."""
    from confluent_kafka.admin import AdminClient, NewTopic
    from events import payment, put, schema_of

    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(STRANGE, 1, 1)])[STRANGE].result(30)
    order = payment(line, "0")
    for schema_id in (None, 1):
        put(bootstrap, STRANGE, f"{order['app_id']}/{order['promoter_openid']}", schema_of("order").write(order, schema_id), order["paid_time"])


def fails_at_strange_frame(name, plant, world):
    answer = call(name, plant, world, STRANGE)
    good = answer.returncode != 0 and not answer.stdout
    return tell(good, f"{name}: a value of another frame ends it with {answer.returncode}, {answer.stdout}{reason(answer.stderr)}")


def reason(told):
    """The line of an exception that names it, or the only one there is."""
    lines = [line for line in told.splitlines() if "0000000001" in line or "xception" in line]
    return lines[0] if lines else told.strip()


def call(name, plant, world, topic):
    """How a consumer has ended that reads a topic."""
    # Spark starts its Java by itself. It looks for its packages in Maven's repository below the home first, where a build may have left a POM
    # without its jar, and then looks for that nowhere else.
    spark_home = f"{os.environ.get('SPARK_SUBMIT_OPTS', '')} -Duser.home={HOME / 'spark-home'}".strip()
    own = os.environ | {"JDK_JAVA_OPTIONS": f"-Djava.io.tmpdir={world.temporary}", "SPARK_SUBMIT_OPTS": spark_home}
    return subprocess.run([*built(name, plant), world.bootstrap, topic, SCHEMA], capture_output=True, text=True, timeout=300, env=own)


@cache
def built(name, plant):
    """What runs a consumer, once it is built."""
    return {"python": silent_python if plant == "silent" else python, "java": java, "go": go, "node": node, "spark": spark}[name]()


def kcat(orders, world):
    """kcat prints a line for each record, and reads no Avro without a registry: of keys and times it is told how many are not the truth's."""
    command = ["kcat", "-C", "-b", world.bootstrap, "-t", TOPIC, "-o", "beginning", "-e", "-q", "-f", "%k %T\n"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    return {"events": len(printed), "strange": strange_records(printed, orders)}


def strange_records(printed, orders):
    """How many lines of a key and a time no order has, and how many orders no line. A refund of which no time is told has that of its first sight:
    some moment since the upstream has shown it."""
    left, untold = Counter(printed), defaultdict(list)
    for order in orders:
        key = f"{order['app_id']}/{order['promoter_openid']}"
        seconds = order["refunded_time"] if order["status"] == "REFUNDED" else order["paid_time"]
        if seconds is None:
            untold[key].append(order["first_shown"] * 1000)
        else:
            left[f"{key} {seconds * 1000}"] -= 1
    strange, rest = (-left).total(), defaultdict(list)
    for key, milliseconds in map(str.split, left.elements()):
        rest[key].append(int(milliseconds))
    for key in rest.keys() | untold.keys():
        seen, shown = sorted(rest[key]), sorted(untold[key])
        strange += abs(len(seen) - len(shown)) + sum(at < since for at, since in zip(seen, shown))
    return strange


def read_py(world):
    """examples/read.py prints an object for each record, and goes on until it is stopped. Two at once, and one right after they were killed:
    each prints everything."""
    [first, second], [third] = read_by(world, 2), read_by(world, 1)
    # Three of one mind, or none that is right.
    return first if first == second == third else {"events": [first, second, third]}


def read_by(world, count, seconds=10):
    """What so many at once have printed until they were killed."""
    files = [world.directory / f"read-{number}.json" for number in range(count)]
    children = []
    for file in files:
        with open(file, "wb") as output:
            children.append(subprocess.Popen([sys.executable, HERE.parent / "read.py", world.bootstrap, TOPIC], stdout=output))
    time.sleep(seconds)
    ended = [child.poll() for child in children]
    for child in children:
        child.kill()
        child.wait()
    if any(code is not None for code in ended):
        raise SystemExit(f"read.py ended with {ended}")
    return [summary(file) for file in files]


def summary(file):
    orders = [json.loads(line)["value"] for line in file.read_text().splitlines()]
    paid = sum(order["paid_amount"] for order in orders if order["status"] == "PAID")
    return {"events": len(orders), "ids": len({order["event_id"] for order in orders}), "paid": paid}


def python():
    return [sys.executable, HERE / "python" / "orders.py"]


def silent_python():
    """The same, but that it commits nothing."""
    text = (HERE / "python" / "orders.py").read_text()
    text = text.replace('"auto.offset.reset":', '"enable.auto.commit": False, "auto.offset.reset":')
    HOME.mkdir(parents=True, exist_ok=True)
    silent = HOME / "silent.py"
    silent.write_text(text.replace("Path(__file__).resolve().parents[3]", f"Path({str(ROOT)!r})"))
    return [sys.executable, silent]


def java():
    built = copied("java")
    maven("package", cwd=built)
    return ["java", "-Xmx128m", "-XX:+UseSerialGC", "-cp", f"{built}/target/orders.jar:{built}/target/lib/*", "Orders"]


def go():
    built = copied("go")
    subprocess.run(["go", "build", "-o", "orders", "."], cwd=built, check=True)
    return [built / "orders"]


def node():
    built = copied("node")
    subprocess.run(["npm", "install", "--silent", "--no-package-lock", "--no-audit", "--no-fund"], cwd=built, check=True)
    return ["node", built / "orders.mjs"]


def spark():
    """In an environment of its own, and with packages that it fetches by itself."""
    return [environment(TARGET / "spark-python", HERE / "spark" / "requirements.txt"), HERE / "spark" / "orders.py"]


def copied(name):
    """The directory of a consumer below target/, where it may be built."""
    shutil.copytree(HERE / name, HOME / name, dirs_exist_ok=True)
    return HOME / name


if __name__ == "__main__":
    sys.exit(carry_out("consumers", arguments, run, ["connector"], ("all of them, once", "NOT all of them, once")))
