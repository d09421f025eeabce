"""What the soak runs share: the processes, which can't outlive the script, the world that they make, and the configuration."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# What cargo leaves there: the first only in one that it makes itself, and not where one of these scripts came before it.
TARGET_MARKS = ("CACHEDIR.TAG", ".rustc_info.json")


def enter_environment(home=TARGET / "soak-python", requirements=Path(__file__).with_name("requirements.txt")):
    """Runs the script again in an environment at `home` that has its packages."""
    if Path(sys.prefix) == home:
        return
    python = environment(home, requirements)
    os.execv(python, [python, *sys.argv])


def environment(home, requirements):
    """The interpreter of an environment at `home` that has the packages."""
    python = home / "bin" / "python"
    if not (home / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
        (home / "installed").touch()
    return python


# The child's group holds a watcher of this script's end of a pipe: however the script ends, the group is killed.
LEASH = 'exec 3<&0; (cat <&3; kill -s KILL -- -$$) >/dev/null 2>&1 & exec "$@" 3<&- </dev/null'


class Child:
    """A process whose output goes to a file, and that can't outlive this script."""

    def __init__(self, directory, name, *command, leash=("sh", "-c", LEASH, "child"), variables=None):
        self.name, self.log = name, directory / f"{name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*leash, *command], stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, process_group=0,
                env=os.environ | (variables or {})
            )

    def wait_for(self, pattern, seconds):
        """The first group of `pattern` in the log."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = re.search(pattern, self.text())
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

    def send(self, number):
        self.process.send_signal(number)

    def end(self):
        """The leash does it, or the program itself when its input ends. One that stands still is killed all the same."""
        self.process.stdin.close()
        self.process.wait()

    def terminate(self, seconds):
        self.send(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def text(self):
        return self.log.read_text(errors="replace")

    def tail(self):
        return "\n".join(self.text().splitlines()[-30:])


def binaries(release):
    """Where the connector and the broker stand: built now, or before in the directory that PROMOTER_BINARIES names, which is
    laid out as target/debug is, and like it stands in a target directory of cargo's."""
    given = os.environ.get("PROMOTER_BINARIES")
    if given:
        return Path(given).resolve()
    build = ["cargo", "build", "--bin", "promoter-connector", "--example", "broker"]
    subprocess.run(build + ["--release"] * release, cwd=ROOT, check=True)
    return TARGET / ("release" if release else "debug")


class World:
    """A real Kafka and the simulated upstream, and whatever else of a run is started beside them."""

    def __init__(self, directory, release):
        self.directory = directory
        # For what programs keep as long as they run. It is removed at the end, for who is killed does not do it.
        self.temporary = directory / "temporary"
        self.temporary.mkdir()
        built = binaries(release)
        self.binary, self.broker_binary = built / "promoter-connector", built / "examples" / "broker"
        self.children = {}

    def start(self, name, *command, **how):
        self.children[name] = Child(self.directory, name, *command, **how)
        return self.children[name]

    def begin(self, *flags):
        """Starts the broker, and the upstream with `flags`."""
        self.begin_broker()
        self.simulate("simulator", *flags)

    def begin_broker(self):
        # Where the jars are kept. The broker would say so, too, in a log of which only a backtrace's end may be shown.
        if not any((above / mark).is_file() for above in self.broker_binary.parents for mark in TARGET_MARKS):
            raise SystemExit(f"{self.broker_binary} has to stand in a target directory, which cargo marks by one of {TARGET_MARKS}")
        self.bootstrap = self.start_broker("broker")

    def start_broker(self, name):
        """Where it answers. It ends with its input by itself, and takes its files along, but kills its Java, which would leave behind
        what it has unpacked."""
        unpacked = {"JDK_JAVA_OPTIONS": f"-Djava.io.tmpdir={self.temporary}"}
        broker = self.start(name, self.broker_binary, leash=(), variables=unpacked)
        return broker.wait_for(r"bootstrap\.servers = (\S+)\n", 120)

    def simulate(self, name, *flags):
        """Starts an upstream, which is the one that is asked and polled from now on."""
        simulator = self.start(name, self.binary, "simulate", "--listen=127.0.0.1:0", *flags)
        self.upstream = simulator.wait_for(r"(http://127\.0\.0\.1:\d+)\n", 60)

    def connector(self, instance, binary=None):
        return self.start(instance, binary or self.binary, "run", "--config", self.directory / f"{instance}.toml")

    def ask(self, path):
        with urllib.request.urlopen(f"{self.upstream}/{path}", timeout=60) as answer:
            return answer.read()

    def settlement(self):
        """What the upstream has shown, and whether that is everything."""
        return json.loads(self.ask("_stats"))["facts"]

    def end(self):
        for child in reversed(self.children.values()):
            child.end()
        shutil.rmtree(self.temporary, ignore_errors=True)


# What was told to be wrong.
wrong = []


def tell(good, what, verdict=None):
    """Prints what has been looked at, with a sign that says whether it is good, which is returned. What is not stands once more at the end of
    the run, and where a `verdict` is given, that is the run's in place of its usual one."""
    print(f"{'✓' if good else '✗'} {what}", flush=True)
    if not good:
        wrong.append((f"✗ {what}", verdict))
    return good


def tell_wrong():
    """Once more, below all that the children have said."""
    print("".join(f"{line}\n" for line, _ in wrong), end="", flush=True)


def conclude(good, verdicts):
    """The last line of a run, and its exit code."""
    failed = dict.fromkeys(verdict or verdicts[1] for _, verdict in wrong) or [verdicts[1]]
    print(verdicts[0] if good else ", ".join(failed), flush=True)
    return 0 if good else 1


def carry_out(kind, arguments, run, told=(), verdicts=("exactly once", "NOT exactly once"), environment=()):
    """One run of a `kind`, from its command line to its exit code, in an environment that is another than the soak's where its home
    and requirements are given. Where it was not good, what the children that are `told` have said last is printed, then what was told to
    be wrong, and last of all the verdict."""
    # Before anything is installed, so that --help and a slip in the command line are answered at once.
    options = arguments()
    enter_environment(*environment)
    # Two may begin in the same second.
    directory = TARGET / "soak" / time.strftime(f"{kind}-%Y%m%d-%H%M%S-{os.getpid()}")
    directory.mkdir(parents=True)
    print(f"seed {options.seed}, files in {directory}", flush=True)
    world = World(directory, options.release)
    good = False
    try:
        good = run(options, world)
    finally:
        world.end()
        for name in () if good else told:
            if name in world.children:
                print(world.children[name].tail())
        if not good:
            tell_wrong()
    return conclude(good, verdicts)


def promoter_id(number):
    return f"oSimulated{number:06}"


def configuration(world, instance, partitions, promoters, pace=1, start_from="earliest", more=""):
    """Everything as in life, only quicker: the world lasts minutes, so nothing may wait for hours. `promoters` are lines of
    the app; `pace` is how many times slower than once a second a busy promoter is polled."""
    return f"""
[connector]
instance_id = "{instance}"
[kafka]
"bootstrap.servers" = "{world.bootstrap}"
{more}
[topics]
partitions = {partitions}
replication = 1
[[apps]]
app_id = "wx_simulated"
secret = "simulated-secret"
base_url = "{world.upstream}"
{promoters}
[feeds.touches]
every = "{pace}s"
idle_every = "{5 * pace}s"
start_from = "{start_from}"
[feeds.orders]
every = "{2 * pace}s"
idle_every = "{10 * pace}s"
start_from = "{start_from}"
[feeds.refunds]
every = "{10 * pace}s"
idle_every = "{20 * pace}s"
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
