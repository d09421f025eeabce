#!/usr/bin/env python3
"""Each request gets its own reply, once and in time, whatever is killed.

    python3 examples/ask-for-material/check.py                 # under a minute
    python3 examples/ask-for-material/check.py --plant forged  # must fail: a reply that was not made for its request
    python3 examples/ask-for-material/check.py --only go       # its command alone, which then has to be there

Starts a real Kafka, the simulated upstream with busy answers and broken connections, and the connector. Two requesters, as two services
would be, ask from several threads: for good materials, for some that can't be made, and for some whose deadline has passed. The
connector is killed with SIGKILL in the middle, and somebody else's reply stands on the topic in an aborted transaction. One who asks
gives his request a header without a value, which his reply has, too, and one no longer wants his reply. Each future must
have the reply of its own request, with the status that it has to have, and the link and the whole image that the upstream gives whoever
asks it for the same; the topic must have exactly one reply for each.
A request to a connector that is away must end as TimeoutError, and one whose requester listens no more with an error at once.

Then the commands of Python, Java and Go ask for one that is made, one that is refused and one that is too late, while somebody writes
replies before theirs, which are theirs in all but the link: under another header, under one without a value, under their own in a
transaction that is aborted, and under their own but of another request or promoter. Their links and images, too, must be what the upstream
gives; where an image can't be written, the link is printed. Without a connector they end with 3.

Needs Rust, Java 17 or later, Maven, and Python 3.11 or later; where there is no Go (1.26), its command is not tried, and that is said.
Packages are installed below target/. PROMOTER_BINARIES names a directory, laid out as target/debug is, whose connector and broker are
taken instead of building them.
"""

import argparse
import base64
import http.client
import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests" / "soak"), str(HERE.parent / "checking"), str(HERE)]
from installed import there  # noqa: E402
from java import maven  # noqa: E402
from parts import ROOT, TARGET, carry_out, configuration, promoter_id, tell  # noqa: E402

APP, PROMOTERS = "wx_simulated", 20
FLAGS = ["--app", APP, "--promoter", promoter_id(1), "--path", "pages/index"]
# The commands, and what each needs.
PROGRAMS = {"python": sys.executable, "java": "mvn", "go": "go"}
# Those that write the image to a file.
KEEP_IMAGES = ("python", "go")
# What is asked for beside a path, within how many seconds, and the status that has to come.
KINDS = [
    ({}, 120, "SUCCEEDED"),
    ({"extra_info": "spring"}, 120, "SUCCEEDED"),
    ({"extra_info": "春" * 27}, 120, "REJECTED"),
    ({"share_type": 9}, 120, "REJECTED"),
    ({}, -1, "EXPIRED"),
]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAMES", help=f"commands to be tried, of {', '.join(PROGRAMS)}, separated by commas; these have "
                        "to be there")
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--plant", choices=["forged"], help="a fault that has to be found: somebody else's reply under a request's header")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="of the world")
    parser.add_argument("--release", action="store_true", help="the optimised connector")
    return parser.parse_args()


def run(options, world):
    # Its packages are there only within the environment.
    from ask import Requester

    names = there(PROGRAMS, options.only)
    flags = [f"--seed={options.seed}", f"--promoters={PROMOTERS}", "--faults=none", "--fault=busy=0.1", "--fault=reset=0.02"]
    world.begin(*flags, "--touches-per-hour=0", "--orders-per-hour=0", "--latency-min=100ms")
    (world.directory / "connector.toml").write_text(configuration(world, "connector", 6, "promoters = []", start_from="now"))
    connector = world.connector("connector")
    connector.wait_for(r"(log is open, polling begins)", 60)

    requesters = [Requester(world.bootstrap), Requester(world.bootstrap)]
    stranger = producer_of_a_stranger(world)
    # As long as it stands still, nobody's reply comes before the forged one.
    connector.send(signal.SIGSTOP)
    begin = time.monotonic()
    ask_without_a_value(world.bootstrap)
    requesters[0].ask(APP, promoter_id(1), "pages/index", timedelta(seconds=120)).cancel()
    asked = [ask(requesters[number % 2], number) for number in range(options.requests)]
    with requesters[0].lock:
        last, (_, _, request) = list(requesters[0].waiting.items())[-1]
    forge(stranger, last, options.plant == "forged", promoter=request["promoter_openid"])
    connector.send(signal.SIGCONT)
    wait_until(lambda: sum(reply.done() for _, reply in asked) > options.requests // 5)
    connector.kill9()
    print(f"connector killed after {sum(reply.done() for _, reply in asked)} of {options.requests} replies", flush=True)
    connector = world.connector("connector")
    upstream = Upstream(world.upstream)
    # All of them together: where nobody listens each would be waited for.
    end = time.monotonic() + 180
    with ThreadPoolExecutor(16) as pool:
        wrong = [text for text in pool.map(lambda each: judge(*each, upstream, end), asked) if text]
    print(f"{options.requests} replies after {time.monotonic() - begin:.1f} s; {len(wrong)} wrong")

    # And the one without a value, and the one that is not wanted any more.
    wrong += twice_or_missing(world, options.requests + 2)
    built = {name: {"python": python, "java": java, "go": go}[name](world) for name in names}
    with Forger(world.bootstrap, stranger, connector, commit=options.plant == "forged"):
        wrong += commands_get_theirs(world, upstream, built)
    wrong += link_is_kept(world, built)
    code = connector.terminate(60)
    wrong += answered_by_nobody(world, requesters[0], built)
    wrong += told_that_nobody_listens(world.bootstrap)
    for requester in requesters:
        requester.close()
    # Of each part some: the requesters' come first, the commands' last.
    for text in [*wrong[:10], *wrong[10:][-10:]]:
        tell(False, text)
    return tell(code == 0, f"the connector stopped with {code}") and not wrong


def ask(requester, number):
    """What was asked for, and the future of its reply."""
    more, within, status = KINDS[number % len(KINDS)]
    wanted = {"path": f"pages/index?number={number}", "promoter": promoter_id(1 + number % PROMOTERS), "status": status,
              "extra_info": more.get("extra_info")}
    return wanted, requester.ask(APP, wanted["promoter"], wanted["path"], timedelta(seconds=within), **more)


def ask_without_a_value(bootstrap):
    """A request whose header `correlation-id` has no value. The connector gives it to the reply as it is, and all requesters read that."""
    from ask import CORRELATION, REQUESTS
    from confluent_kafka import Producer

    request = {"request_id": "without-a-value", "app_id": APP, "promoter_openid": promoter_id(1), "path": "pages/index",
               "deadline": (datetime.now(timezone.utc) + timedelta(seconds=120)).isoformat(timespec="milliseconds")}
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
    producer.produce(REQUESTS, key=f"{APP}/{promoter_id(1)}", value=json.dumps(request),
                     headers={"content-type": "application/json", CORRELATION: None})
    if producer.flush(30):
        raise SystemExit(f"{REQUESTS} did not take the request within 30 s")


def wait_until(holds, limit=120):
    deadline = time.monotonic() + limit
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"not so after {limit} s")
        time.sleep(0.01)


class Upstream:
    """Asked as the connector asks it. To the same question it gives the same link and the same image, byte by byte."""

    def __init__(self, url):
        self.url = url
        credentials = {"grant_type": "client_credential", "appid": APP, "secret": "simulated-secret"}
        self.token = self.post("/cgi-bin/stable_token", credentials)["access_token"]

    def material(self, promoter, path, extra_info):
        more = {"extra_info": extra_info} if extra_info else {}
        made = self.post(f"/promoter/getsharematerial?access_token={self.token}", {"openid": promoter, "path": path} | more)
        return made["share_path"], base64.b64decode(made["qrcode"], validate=True)

    def post(self, path, body, limit=60):
        """However often it is busy, or breaks the connection, first."""
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    told = json.load(answer)
            except (OSError, http.client.HTTPException):
                continue
            if told.get("errcode", 0) == 0:
                return told
            if told["errcode"] != -1:
                raise SystemExit(f"{path.split('?')[0]}: {told}")
        raise SystemExit(f"{path.split('?')[0]}: no answer within {limit} s")


def judge(wanted, future, upstream, end):
    """What is wrong with the reply, or nothing."""
    try:
        reply = future.result(timeout=max(end - time.monotonic(), 0))
    except Exception as error:
        return f"{wanted}: {error!r}"
    if (reply["promoter_openid"], reply["status"]) != (wanted["promoter"], wanted["status"]):
        return f"{wanted}: got {reply['promoter_openid']}, {reply['status']} {reply['errmsg']}"
    if reply["status"] != "SUCCEEDED":
        return None
    link, image = upstream.material(wanted["promoter"], wanted["path"], wanted["extra_info"])
    if reply["share_path"] != link:
        return f"{wanted}: got the link {reply['share_path']} for {link}"
    return None if reply["qrcode"] == image else f"{wanted}: its image has {len(reply['qrcode'])} bytes, or others, for {len(image)}"


def producer_of_a_stranger(world):
    """Made before anything is asked, so that what it writes comes before the last replies. Its keys go where the connector's go."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": world.bootstrap, "transactional.id": "stray", "partitioner": "murmur2_random"})
    producer.init_transactions(30)
    return producer


def forge(producer, correlation, commit, request_id="", promoter=promoter_id(1)):
    """A reply under the header of a request, by whoever may write to the topic; only its link and that it has no image tell it from the one
    that the connector writes. Aborted, nobody may see it."""
    import io

    from ask import CORRELATION, HEADER, RESULT, RESULTS
    from fastavro import parse_schema, schemaless_writer

    fields = {"request_id": request_id or correlation, "app_id": APP, "promoter_openid": promoter, "status": "SUCCEEDED",
              "share_path": "pages/index?forged", "issued_at": int(time.time() * 1000)}
    body = io.BytesIO()
    schemaless_writer(body, parse_schema(RESULT), fields)
    producer.begin_transaction()
    producer.produce(RESULTS, key=f"{APP}/{promoter}", value=HEADER + body.getvalue(), headers={CORRELATION: correlation})
    if producer.flush(30):
        raise SystemExit(f"{RESULTS} did not take the reply within 30 s")
    producer.commit_transaction(30) if commit else producer.abort_transaction(30)


class Forger:
    """Overhears requests for the first promoter, and writes replies before theirs: one under somebody else's header, one under a header
    without a value, two under their own, of another request and of another promoter, and one under their own that nobody may see, for it is
    aborted. The connector stands still until it has, or it might be the first."""

    def __init__(self, bootstrap, producer, connector, commit):
        from ask import REQUESTS
        from confluent_kafka import Consumer, TopicPartition

        self.producer, self.connector, self.commit, self.closed = producer, connector, commit, False
        self.consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "forger", "enable.auto.commit": False})
        places = [TopicPartition(REQUESTS, number) for number in self.consumer.list_topics(REQUESTS, timeout=10).topics[REQUESTS].partitions]
        for place in places:
            place.offset = self.consumer.get_watermark_offsets(place, timeout=10)[1]
        self.consumer.assign(places)
        self.forged, self.thread = 0, threading.Thread(target=self.overhear)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.closed = True
        self.thread.join()
        self.consumer.close()
        self.connector.send(signal.SIGCONT)
        print(f"{self.forged} requests overheard")

    def overhear(self):
        from ask import CORRELATION

        while not self.closed:
            message = self.consumer.poll(0.05)
            if message and message.error() is None:
                theirs = dict(message.headers())[CORRELATION].decode()
                forge(self.producer, "somebody-else", commit=True, request_id=theirs)
                forge(self.producer, None, commit=True, request_id=theirs)
                forge(self.producer, theirs, commit=True, request_id="somebody-else")
                forge(self.producer, theirs, commit=True, promoter=promoter_id(2))
                forge(self.producer, theirs, self.commit)
                self.forged += 1
                self.connector.send(signal.SIGCONT)


def twice_or_missing(world, requests):
    """Replies on the topic, by their header: exactly one each."""
    from ask import CORRELATION, RESULTS
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

    consumer = Consumer({"bootstrap.servers": world.bootstrap, "group.id": "check", "enable.partition.eof": True,
                         "isolation.level": "read_committed"})
    unfinished = set(consumer.list_topics(RESULTS, timeout=10).topics[RESULTS].partitions)
    consumer.assign([TopicPartition(RESULTS, number, OFFSET_BEGINNING) for number in unfinished])
    replies, deadline = Counter(), time.monotonic() + 60
    while (unfinished or replies.total() < requests) and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message and message.error() is None:
            replies[dict(message.headers())[CORRELATION]] += 1
        elif message and message.error().code() == KafkaError._PARTITION_EOF:
            unfinished.discard(message.partition())
    consumer.close()
    print(f"{replies.total()} replies on the topic, for {len(replies)} requests")
    return [] if len(replies) == replies.total() == requests else ["not one reply for each request"]


def commands_get_theirs(world, upstream, built):
    """One request of each kind by the commands; their exit codes tell whether it SUCCEEDED."""
    wrong, (link, image) = [], upstream.material(promoter_id(1), "pages/index", "spring")
    for name, command in built.items():
        file = world.directory / f"{name}.png"
        for extra, within, code, status in (("spring", 30, 0, "SUCCEEDED"), ("春" * 27, 30, 1, "REJECTED"), ("spring", -1, 1, "EXPIRED")):
            file.unlink(missing_ok=True)
            out = [f"--out={file}"] if name in KEEP_IMAGES else []
            world.children["connector"].send(signal.SIGSTOP)
            answer = subprocess.run(command(world.bootstrap, extra, within) + out, capture_output=True, text=True, timeout=120)
            reply = json.loads(answer.stdout) if answer.stdout else {"status": answer.stderr, "promoter_openid": None, "share_path": None}
            found = (reply["status"], reply["promoter_openid"], reply["share_path"], answer.returncode)
            print(f"{name}: {reply['status']} for {reply['promoter_openid']}, exit code {answer.returncode}")
            due = (status, promoter_id(1), link if code == 0 else None, code)
            wrong += [] if found == due else [f"{name}: {found} for {due}"]
            kept = file.read_bytes() if file.exists() else None
            wrong += [] if kept == (image if out and code == 0 else None) else [f"{name}: of the image of {status} it kept {kept}"]
            # Go's leaves it out; who prints it says how long it is.
            if code == 0 and not reply.get("qrcode", "0 bytes"):
                wrong.append(f"{name}: prints no image, and {reply['qrcode_type']}")
    return wrong


def link_is_kept(world, built):
    """The material is made, and counts: whose image can't be written has to print the link all the same, and end with 1."""
    wrong = []
    for name in built.keys() & KEEP_IMAGES:
        command = [*built[name](world.bootstrap, "spring", 30), f"--out={world.directory / 'nowhere' / 'image.png'}"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
        print(f"{name}: where its image can't be written: {answer.returncode}, {answer.stderr.strip()}")
        if (answer.returncode, "promoter_mark" in answer.stdout) != (1, True) or "Traceback" in answer.stderr:
            wrong.append(f"{name}: where its image can't be written: {answer.returncode}, {answer.stdout}{answer.stderr}")
    return wrong


def python(_):
    """What is run for a bootstrap, an extra_info and the seconds until the deadline, and so below, once it is built."""
    command = [sys.executable, HERE / "ask.py", *FLAGS]
    return lambda bootstrap, extra, within: [*command, f"--bootstrap={bootstrap}", f"--extra-info={extra}", f"--within={within}"]


def java(world):
    built = copied("java")
    maven("package", cwd=built)
    command = ["java", "-Xmx128m", "-XX:+UseSerialGC", f"-Djava.io.tmpdir={world.temporary}"]
    command += ["-cp", f"{built}/target/ask.jar:{built}/target/lib/*", "Ask"]
    return lambda bootstrap, extra, within: [*command, bootstrap, ROOT / "schemas", APP, promoter_id(1), "pages/index", extra, str(within)]


def go(_):
    built = copied("go")
    subprocess.run(["go", "build", "-o", "ask", "."], cwd=built, check=True)
    command = [built / "ask", "-schema", ROOT / "schemas" / "material-result.avsc", *FLAGS]
    return lambda bootstrap, extra, within: [*command, f"--bootstrap={bootstrap}", f"--extra-info={extra}", f"--within={within}s"]


def copied(name):
    """The directory of a command below target/, where it may be built."""
    built = TARGET / "ask-for-material" / name
    shutil.copytree(HERE / name, built, dirs_exist_ok=True)
    return built


def answered_by_nobody(world, requester, built):
    """The connector is away: whoever waits must be told, soon after the deadline; the commands by their exit code."""
    commands = {name: subprocess.Popen(command(world.bootstrap, "spring", 1), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                for name, command in built.items()}
    try:
        requester.ask(APP, promoter_id(1), "pages/index", timedelta(seconds=1)).result(timeout=60)
        wrong = ["an answer, and nobody to give it"]
    except TimeoutError as error:
        print(f"without a connector: {error}")
        wrong = [] if str(error) else ["the future itself was never ended"]
    codes = {name: command.wait(60) for name, command in commands.items()}
    print(f"the commands without a connector: exit codes {codes}")
    return wrong + [f"{name}: {code} without a connector" for name, code in codes.items() if code != 3]


def told_that_nobody_listens(bootstrap):
    """Who waits for a requester that is closed, or whose listening fails, must be told at once, and so must who asks it then."""
    from ask import Requester

    def nothing_is_read(_):
        raise OSError("nothing can be read")

    def fail(requester):
        requester.consumer = SimpleNamespace(poll=nothing_is_read, close=requester.consumer.close)

    wrong = []
    for end in (Requester.close, fail):
        requester = Requester(bootstrap)
        reply = requester.ask(APP, promoter_id(1), "pages/index", timedelta(minutes=5))
        end(requester)
        error = reply.exception() if wait_for([reply], 30).done else None
        wrong += [] if error else [f"{end.__name__}: who waits is not told"]
        try:
            requester.ask(APP, promoter_id(1), "pages/index")
            wrong += [f"{end.__name__}: who asks then is not told"]
        except RuntimeError as refused:
            print(f"{end.__name__}: {error!r} for who waits, {refused!r} for who asks then")
        if end is fail:
            requester.close()
    return wrong


if __name__ == "__main__":
    sys.exit(carry_out("ask-for-material", arguments, run, ["connector"], ("each its own, once", "NOT each its own, once")))
