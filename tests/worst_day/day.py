"""The parts of the worst day: Kafka, the upstream with a proxy before it, two instances, and what may be done to all of them."""

import json
import os
import resource
import signal
import socket
import threading
import time
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

from alerts import Prometheus
from parts import Child, configuration, promoter_id
from proxy import Proxy

APP = "wx_simulated"
PROMOTERS, PARTITIONS, PACE = 330, 6, 2
NAMES = ("one", "two")
# An instance that stands still keeps its partitions so long; less than the minute within which everything is told.
SESSION = 30
SECONDS, WELL_WITHIN, COMMIT = 60, 180, 10
DATA = "/promoter/"
# Of the causes those that are to be known for an hour, and colour nothing.
LASTING = {"dead_letters_new"}
FAKETIME = ("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1")


class Fault(Exception):
    """What is not as it must be, in words that name it."""


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Day:
    def __init__(self, world):
        self.world, self.directory = world, world.directory
        self.upstream = Proxy()
        self.ports = {name: free_port() for name in NAMES}
        # Those that are meant to run.
        self.present = NAMES
        # Set where whoever waits for the upstream need not wait any longer.
        self.let_go = threading.Event()
        self.broker_process, self.broker_command, self.broker_directory = None, None, None
        # Dead letters that are ours, and not the upstream's.
        self.own_letters = []

    def begin(self, seed):
        flags = [f"--seed={seed}", f"--promoters={PROMOTERS}", "--faults=none", "--dead-rows=0", "--late-max=1m", "--moving=10s"]
        self.world.begin(*flags, "--history=10m", "--touches-per-hour=60", "--orders-per-hour=20")
        self.upstream.target = self.world.upstream.removeprefix("http://")
        self.look_at_broker()
        for name in NAMES:
            self.write(name)
            self.world.connector(name)
        self.prometheus = Prometheus(self.world, self.ports.values())
        self.be_well()
        self.prometheus.must_be_well()

    def write(self, name, more_of_app=""):
        names = ", ".join(f'"{promoter_id(number)}"' for number in range(1, PROMOTERS + 1))
        upstream, self.world.upstream = self.world.upstream, self.upstream.url
        text = configuration(
            self.world, name, PARTITIONS, f"promoters = [{names}]\n{more_of_app}", PACE,
            more=f'"session.timeout.ms" = {SESSION * 1000}',
        )
        self.world.upstream = upstream
        off = 'listen = "off"'
        assert off in text, "the configuration of the soaks has changed"
        text = text.replace(off, f'listen = "127.0.0.1:{self.ports[name]}"')
        (self.directory / f"{name}.toml").write_text(text)

    def end(self):
        self.let_go.set()
        self.kafka(signal.SIGCONT)
        for name in NAMES:
            if name in self.world.children:
                self.instance(name).send(signal.SIGCONT)
        self.world.end()
        self.upstream.end()

    # The instances.

    def instance(self, name):
        return self.world.children[name]

    def start(self, name, fake_clock=None):
        if fake_clock is None:
            return self.world.connector(name)
        # The connector's own timers go by the clock that nobody can set, here as in life.
        environment = [f"LD_PRELOAD={faketime()}", f"FAKETIME_TIMESTAMP_FILE={fake_clock}", "FAKETIME_DONT_FAKE_MONOTONIC=1"]
        command = ["env", *environment, "FAKETIME_CACHE_DURATION=1", self.world.binary]
        return self.world.start(name, *command, "run", "--config", self.directory / f"{name}.toml")

    def stop(self, name):
        if (code := self.instance(name).terminate(SECONDS)) != 0:
            raise SystemExit(f"{name} stopped with {code} on SIGTERM\n{self.instance(name).tail()}")

    def ask(self, name, path, seconds=5):
        """What an instance answers, as text; nothing where it does not."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}{path}", timeout=seconds) as answer:
                return answer.read().decode()
        except OSError:
            return None

    def status(self, name):
        answer = self.ask(name, "/api/v1/status")
        return answer and json.loads(answer)

    def owner(self, promoter):
        """The instance that polls him."""
        for name in NAMES:
            answer = self.ask(name, f"/api/v1/promoters/{APP}/{promoter}")
            if answer and json.loads(answer)["place"] == "here":
                return name
        raise Fault(f"nobody polls {promoter}")

    def command(self, *words):
        """One of the connector's commands, with the configuration of the first instance."""
        return [str(self.world.binary), "--config", str(self.directory / "one.toml"), *words]

    # The broker: its own process is a child of the one that has started it.

    def look_at_broker(self):
        for task in Path(f"/proc/{self.world.children['broker'].process.pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                process = Path(f"/proc/{child}")
                self.broker_process = int(child)
                self.broker_command = (process / "cmdline").read_text().split("\0")[:-1]
                self.broker_directory = (process / "cwd").readlink()

    def kafka(self, number):
        if self.broker_process:
            os.kill(self.broker_process, number)

    def let_broker_write(self, is_let):
        """A broker that is not let can't write to any file. Only the soft limit is touched, which its owner may raise again."""
        _, hard = resource.prlimit(self.broker_process, resource.RLIMIT_FSIZE)
        resource.prlimit(self.broker_process, resource.RLIMIT_FSIZE, (hard if is_let else 1, hard))

    def start_broker_again(self):
        """On its directory and its ports, as somebody would who has made room."""
        child = Child(self.directory, "broker-again", "env", "-C", str(self.broker_directory), *self.broker_command)
        self.world.children["broker-again"] = child
        # The child's shell has the group; the broker itself stands below it.
        self.broker_process = child.process.pid

    def broker_runs(self):
        return (Path(f"/proc/{self.broker_process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
                if Path(f"/proc/{self.broker_process}").exists() else False)

    # How it is.

    def ill(self):
        """What is not well now."""
        for name in self.present:
            self.instance(name).must_run()
            status = self.status(name)
            if status is None:
                return f"{name} does not answer"
            causes = [cause["code"] for cause in status["causes"] if cause["code"] not in LASTING]
            if causes or status["state"] not in ("well", "standby"):
                return f"{name} is {status['state']}: {', '.join(causes) or 'no causes'}"
            waiting = [pipeline["pipeline"] for pipeline in status["pipelines"] if is_old(pipeline["waits_since"])]
            if waiting:
                return f"something waits in {name} to be committed, of {', '.join(waiting)}"
            # Until then the group is still on its way.
            if (polling := status["partitions"]["polling"]) != PARTITIONS // len(self.present):
                return f"{name} polls {polling} of {PARTITIONS} partitions"
            # What is read of the past until the next harm, or the end, is shown and not all published.
            if past := sum(feed["backfilling"] for feed in status["feeds"]):
                return f"{name} reads the past of {past} feeds"
        return ""

    def alerts(self):
        return self.prometheus.alerts("pending", "firing")

    def be_well(self, look=lambda: None):
        """Seconds until it is, and until no alert is left."""
        begun, well = time.monotonic(), None
        while True:
            look()
            took = time.monotonic() - begun
            ill = self.ill()
            well = None if ill else well or took
            alerts = self.alerts()
            if well and not alerts:
                return well, took
            if took > WELL_WITHIN:
                raise Fault(f"it is not well within {WELL_WITHIN} s: {ill or 'no causes'}; alerts: {alerts}")
            time.sleep(0.5)


def is_old(since):
    """Whether what is told to be so since then, if at all, is so for longer than a commit takes."""
    return since is not None and datetime.now(timezone.utc) - datetime.fromisoformat(since) > timedelta(seconds=COMMIT)


def faketime():
    return next((path for path in FAKETIME if Path(path).exists()), None)


def log_lines(path, offset):
    """What was logged behind the offset."""
    with open(path, "rb") as log:
        log.seek(offset)
        return log.read().decode(errors="replace")
