"""A real connector with a real Kafka and the simulated upstream, and what may happen to them."""

import json
import os
import signal
import threading
import time
import urllib.request
from pathlib import Path

from proxy import Proxy
from tools import Fault, World, configuration, promoter_id

APP = "wx_simulated"
PROMOTERS = 12
PARTITIONS = 3
# Of whom the upstream says that he has not authorised the app.
PARKED = promoter_id(PROMOTERS)
TOUCHES = "/promoter/getrelation"
REFUSED = {"errcode": 40164, "errmsg": "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 65f0c2a1-1b2c3d4e-0a1b2c3d"}
NOT_AUTHORISED = {"errcode": 103014, "errmsg": "promoter not authorised rid: 65f0c2a2-1b2c3d4e-0a1b2c3d"}
# A promise of the fastest feed is kept for 5 s, and whoever is a minute behind it is late.
LATE_WITHIN = 90
# Kafka is away once it has been silent for a minute.
SILENT_WITHIN = 120
WELL_WITHIN = 120
SECONDS = 60
TRIES = 10


class Stage:
    def __init__(self, directory):
        self.directory, self.world = directory, World(directory, release=False)
        self.token, self.hold = "a-token-of-these-tests", threading.Event()
        self.hold.set()
        # Between the connector and the upstream; and between the browser and the connector, so that the page outlives a connector.
        self.upstream, self.front = Proxy(), Proxy()
        self.upstream.instead = self.parked_alone

    def begin(self):
        self.world.begin("--seed=1", f"--promoters={PROMOTERS}", "--faults=none", "--dead-rows=0.005", "--late-max=4m")
        self.upstream.target = self.world.upstream.removeprefix("http://")
        self.world.upstream = self.upstream.url
        ids = ", ".join(f'"{promoter_id(number)}"' for number in range(1, PROMOTERS + 1))
        text = configuration(self.world, "one", PARTITIONS, f"promoters = [{ids}]")
        (self.directory / "admin-token").write_text(self.token + "\n")
        # An upstream that hangs is waited for: so feeds are late, and nothing else tells why.
        changes = {'listen = "off"': 'listen = "127.0.0.1:0"\ntoken_file = "admin-token"', 'timeout = "3s"': 'timeout = "10m"'}
        for old, new in changes.items():
            assert old in text, f"the configuration of the soaks has no {old} any more"
            text = text.replace(old, new)
        (self.directory / "one.toml").write_text(text)
        self.start()

    def start(self):
        """A connector, with a log of its own to be found in."""
        (self.directory / "one.log").unlink(missing_ok=True)
        self.front.target = self.world.connector("one").wait_for(r'"address":"(127\.0\.0\.1:\d+)"', SECONDS)

    def stop(self):
        self.front.target = None
        if self.world.children["one"].terminate(SECONDS) != 0:
            raise SystemExit(self.world.children["one"].tail())

    def end(self):
        self.hold.set()
        self.kafka(signal.SIGCONT)
        self.world.end()
        self.upstream.end()
        self.front.end()

    # What the upstream answers.

    def parked_alone(self, path, body):
        return json.dumps(NOT_AUTHORISED).encode() if PARKED.encode() in body else None

    def refuse(self, path, body):
        return json.dumps(REFUSED).encode()

    def hang(self, path, body):
        if path.startswith(TOUCHES):
            self.hold.wait()
        return self.parked_alone(path, body)

    # What the connector says.

    def ask(self, path):
        with urllib.request.urlopen(f"{self.front.url}{path}", timeout=SECONDS) as answer:
            return json.load(answer)

    def resume(self, promoter):
        """Whatever somebody has done to him before."""
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        request = urllib.request.Request(f"{self.front.url}/api/v1/promoters/{promoter}/resume", b"{}", headers)
        urllib.request.urlopen(request, timeout=SECONDS).close()

    def status(self):
        return self.ask("/api/v1/status")

    def wait_for(self, what, is_so, seconds=SECONDS):
        """The status, once `is_so` of it."""
        deadline, status = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            self.world.children["one"].must_run()
            status = self.status()
            if is_so(status):
                return status
            time.sleep(0.1)
        raise Fault(f"the connector is not {what} within {seconds} s: {json.dumps(status)}")

    # What happens.

    def kafka(self, number):
        """The broker's own process is a child of the one that started it."""
        broker = self.world.children.get("broker")
        for task in Path(f"/proc/{broker.process.pid}/task").iterdir() if broker else ():
            for child in (task / "children").read_text().split():
                os.kill(int(child), number)

    def be_well(self):
        """All of it is polled, and every feed has read its past."""
        def is_well(status):
            feeds = status["feeds"]
            return (status["state"] == "well" and status["partitions"]["polling"] == PARTITIONS
                    and all(feed["parked"] == 1 and feed["on_time"] == PROMOTERS - 1 for feed in feeds))
        return self.wait_for("well", is_well, WELL_WITHIN)

    def be_stopped(self):
        self.upstream.instead = self.refuse
        return self.wait_for("stopped", lambda status: status["state"] == "stopped")

    def be_served_again(self):
        self.upstream.instead = self.parked_alone
        self.hold.set()
        return self.be_well()

    def be_late(self):
        self.hold.clear()
        self.upstream.instead = self.hang

        def is_late(status):
            return status["state"] == "late" and any(feed["late"] for feed in status["feeds"])
        return self.wait_for("late", is_late, LATE_WITHIN)

    def be_without_kafka(self):
        self.kafka(signal.SIGSTOP)

        def is_away(status):
            return status["state"] == "stopped" and not any(pipeline["kafka_up"] for pipeline in status["pipelines"])
        return self.wait_for("without Kafka", is_away, SILENT_WITHIN)

    def be_with_kafka_again(self):
        self.kafka(signal.SIGCONT)
        return self.be_well()

    def be_restoring(self):
        """Starts the connector again, and stops Kafka while it restores: that takes a moment otherwise."""
        for _ in range(TRIES):
            self.stop()
            self.start()
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline:
                partitions = self.status()["partitions"]
                if partitions["restoring"]:
                    self.kafka(signal.SIGSTOP)
                    if self.status()["partitions"]["restoring"]:
                        return
                    self.kafka(signal.SIGCONT)
                if partitions["polling"] == PARTITIONS:
                    break
        raise Fault(f"in {TRIES} starts nobody saw the connector restore")
