"""What the figures on a real Kafka have in common: the processes, their configuration, and where all of it is kept.

Needs Rust, Java 17 or later, Maven, and Python 3.11 or later; Python packages are installed below target/. Linux only.
"""

import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "soak"))
from parts import ROOT, TARGET, Child, enter_environment  # noqa: E402

BINARY = TARGET / "release" / "promoter-connector"
PARTITIONS = 6
TICKS = os.sysconf("SC_CLK_TCK")
# A world where nothing goes wrong and nothing happens by itself.
PLAIN = ["--faults=none", "--latency=0ms", "--late=0", "--moving=0s", "--duplicates=0", "--odd-rows=0", "--dead-rows=0"]
# The told quota is no limit to what is measured.
PLAIN += ["--touches-per-hour=0", "--orders-per-hour=0", "--per-day=1000000000000"]


def configuration(bootstrap, upstream, name, promoters, more="", instance="bench"):
    """Of one app, whose first `promoters` are polled. `more` begins with what belongs to the app."""
    names = ", ".join(f'"oSimulated{number:06}"' for number in range(1, promoters + 1))
    return f"""
[connector]
name = "{name}"
instance_id = "{instance}"
[kafka]
"bootstrap.servers" = "{bootstrap}"
[topics]
prefix = "{name}"
partitions = {PARTITIONS}
replication = 1
[[apps]]
app_id = "wx_simulated"
secret = "simulated-secret"
base_url = "{upstream}"
promoters = [{names}]
{more}
[admin]
listen = "off"
"""


class Upstream:
    """`simulate`, and one connection that asks it what it has seen."""

    def __init__(self, directory, name, promoters, *world):
        arguments = ["simulate", "--listen=127.0.0.1:0", f"--promoters={promoters}", *PLAIN, *world]
        self.child = Child(directory, name, BINARY, *arguments)
        self.url = self.child.wait_for(r"(http://127\.0\.0\.1:\d+)\n", 60)
        self.connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60)

    def stats(self):
        self.connection.request("GET", "/_stats")
        return json.loads(self.connection.getresponse().read())

    def data_calls(self):
        calls = self.stats()["calls"]
        return sum(sum(calls.get(f"/promoter/{name}", {}).values()) for name in ("getrelation", "getorder"))


def quiet_upstream(note):
    """The address of an upstream without any data, which knows every promoter, and notes who is asked for."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
            if self.path.startswith("/promoter/"):
                if "openid" in asked:
                    note(asked["openid"])
                answer = b'{"errcode":0,"total_cnt":0}'
            else:
                answer = b'{"access_token":"token","expires_in":7200}'
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_):
            """An instance that is killed leaves its connections behind."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


class Connector:
    """`run`, with what Linux and its own log tell of it."""

    def __init__(self, directory, name, text):
        (directory / f"{name}.toml").write_text(text)
        self.begin = time.time()
        self.child = Child(directory, name, BINARY, "run", "--config", directory / f"{name}.toml")
        self.log_begin = self.child.log.stat().st_size

    def cpu_seconds(self):
        return cpu_seconds(self.child.process.pid)

    def threads(self):
        return list(Path(f"/proc/{self.child.process.pid}/task").glob("*/status"))

    def wake_ups(self):
        """How often its threads have begun to run again after they had waited, so far."""
        waits = (re.search(r"^voluntary_ctxt_switches:\s+(\d+)", one.read_text(), re.MULTILINE) for one in self.threads())
        return sum(int(wait[1]) for wait in waits)

    def memory(self, field):
        """MiB."""
        status = Path(f"/proc/{self.child.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)[1]) / 1024

    def logged(self, message, seconds=60):
        """The first line of this life with that message, and its time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            written = self.child.log.read_bytes()[self.log_begin :].decode()
            # The last line may not be whole yet.
            for line in map(json.loads, written.splitlines()[: written.count("\n")]):
                if line.get("message") == message:
                    return datetime.fromisoformat(line["timestamp"]).timestamp(), line
            self.child.must_run()
            time.sleep(0.02)
        raise SystemExit(f"it does not say {message}\n{self.child.tail()}")

    def stop(self):
        """Its last word: what it has published."""
        code = self.child.terminate(60)
        if code != 0:
            raise SystemExit(f"the connector ended with {code}\n{self.child.tail()}")
        published = re.findall(r'"message":"stopped".*?"published":(\d+)|"published":(\d+).*?"message":"stopped"', self.child.tail())
        return int("".join(published[-1]))


def cpu_seconds(process):
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(parts, options):
    """Runs each of `parts`, in their order, with a directory, the address of one broker, and the options."""
    build = ["cargo", "build", "--release", "--locked", "--bin", "promoter-connector"]
    build += ["--example", "broker", "--example", "bare_producer"]
    subprocess.run(build, cwd=ROOT, check=True)
    directory = TARGET / "bench" / time.strftime("%Y%m%d-%H%M%S")
    directory.mkdir(parents=True)
    # It ends with its input by itself, and takes its files along.
    broker = Child(directory, "broker", TARGET / "release" / "examples" / "broker", leash=())
    bootstrap = broker.wait_for(r"bootstrap\.servers = (\S+)\n", 120)
    for part in parts:
        part(directory, bootstrap, options)
    broker.end()
