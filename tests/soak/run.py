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
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def enter_environment():
    """Runs this script again in an environment that has its packages."""
    home = TARGET / "soak-python"
    python = home / "bin" / "python"
    if Path(sys.prefix) == home:
        return
    if not (home / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        requirements = Path(__file__).with_name("requirements.txt")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
        (home / "installed").touch()
    os.execv(python, [python, *sys.argv])


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


# The child's group holds a watcher of this script's end of a pipe: however the script ends, the group is killed.
LEASH = 'exec 3<&0; (cat <&3; kill -s KILL -- -$$) >/dev/null 2>&1 & exec "$@" 3<&- </dev/null'


class Child:
    """A process whose output goes to a file, and that can't outlive this script."""

    def __init__(self, directory, name, *command, leash=("sh", "-c", LEASH, "child")):
        self.name, self.log = name, directory / f"{name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*leash, *command], stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, process_group=0
            )

    def wait_for(self, pattern, seconds):
        """The first group of `pattern` in the log."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = re.search(pattern, self.log.read_text(errors="replace"))
            if found:
                return found[1]
            self.must_run()
            time.sleep(0.05)
        raise SystemExit(f"{self.name} does not say {pattern}\n{self.tail()}")

    def must_run(self):
        if self.process.poll() is not None:
            raise SystemExit(f"{self.name} ended by itself with {self.process.returncode}\n{self.tail()}")

    def kill9(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self):
        """The leash does it, or the program itself when its input ends."""
        self.process.stdin.close()
        self.process.wait()

    def terminate(self, seconds):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])


def configuration(bootstrap, upstream, promoters):
    """Everything as in life, only quicker: the world lasts minutes, so nothing may wait for hours."""
    names = ", ".join(f'"oSimulated{number:06}"' for number in range(1, promoters + 1))
    return f"""
[connector]
instance_id = "soak"
[kafka]
"bootstrap.servers" = "{bootstrap}"
[topics]
partitions = 6
replication = 1
[[apps]]
app_id = "wx_simulated"
secret = "simulated-secret"
base_url = "{upstream}"
promoters = [{names}]
[feeds.touches]
every = "1s"
idle_every = "5s"
start_from = "earliest"
[feeds.orders]
every = "2s"
idle_every = "10s"
start_from = "earliest"
[feeds.refunds]
every = "10s"
idle_every = "20s"
[retry]
max = "2s"
parked = "5s"
stopped = "5s"
too_fast = "5s"
[http]
timeout = "3s"
[admin]
listen = "off"
"""


def run(options, directory, children):
    # Its packages are there only within the environment.
    from judge import Found, compare, truth

    profile = "release" if options.release else "debug"
    build = ["cargo", "build", "--bin", "promoter-connector", "--example", "broker"]
    subprocess.run(build + ["--release"] * options.release, cwd=ROOT, check=True)
    binary = TARGET / profile / "promoter-connector"

    def start(name, *command, **how):
        children[name] = Child(directory, name, *command, **how)
        return children[name]

    # It ends with its input by itself, and takes its files along.
    broker = start("broker", TARGET / profile / "examples" / "broker", leash=())
    bootstrap = broker.wait_for(r"bootstrap\.servers = (\S+)\n", 120)
    world = [f"--seed={options.seed}", f"--promoters={options.promoters}", f"--faults={options.faults}"]
    world += [f"--quiet-after={round(options.minutes * 60)}s", "--spell=5s", "--late-max=40s", "--moving=20s"]
    world += ["--history=1h", "--touches-per-hour=300", "--orders-per-hour=60"]
    simulator = start("simulator", binary, "simulate", "--listen=127.0.0.1:0", *world)
    upstream = simulator.wait_for(r"(http://127\.0\.0\.1:\d+)\n", 60)
    (directory / "soak.toml").write_text(configuration(bootstrap, upstream, options.promoters))

    def connector():
        return start("connector", binary, "run", "--config", directory / "soak.toml")

    def ask(path):
        with urllib.request.urlopen(f"{upstream}/{path}", timeout=60) as answer:
            return answer.read()

    begin = time.monotonic()
    chance = random.Random(options.seed)
    kills = sorted(chance.uniform(2, options.minutes * 60) for _ in range(options.kills))
    running = connector()
    found = Found(bootstrap, ROOT / "schemas")

    told = 0.0
    deadline = begin + options.minutes * 60 + options.settle
    while time.monotonic() < deadline:
        found.poll()
        if kills and time.monotonic() - begin >= kills[0]:
            kills.pop(0)
            running.kill9()
            print(f"{time.monotonic() - begin:6.1f} s  killed", flush=True)
            running = connector()
        for child in (broker, simulator, running):
            child.must_run()
        if time.monotonic() - told > 10:
            told = time.monotonic()
            settlement = json.loads(ask("_stats"))["facts"]
            print(f"{told - begin:6.1f} s  shown {settlement['shown']}, published {found.count()}", flush=True)
            if settlement["settled"] and not kills and compare(truth(ask("_truth")), found).is_exact():
                break

    # Whatever the loop ended with: the stop is in order, and what it still publishes counts.
    code = running.terminate(60)
    found.read_to_end()
    verdict = compare(truth(ask("_truth")), found)
    print(f"connector stopped with {code} on SIGTERM")
    print(verdict)
    return verdict.is_exact() and verdict.shown > 0 and code == 0


def main():
    enter_environment()
    options = arguments()
    directory = TARGET / "soak" / time.strftime("%Y%m%d-%H%M%S")
    directory.mkdir(parents=True)
    print(f"seed {options.seed}, files in {directory}", flush=True)
    children = {}
    good = False
    try:
        good = run(options, directory, children)
    finally:
        for child in reversed(children.values()):
            child.end()
        if not good and "connector" in children:
            print(children["connector"].tail())
    print("exactly once" if good else "NOT exactly once")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
