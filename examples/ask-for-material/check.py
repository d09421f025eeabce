#!/usr/bin/env python3
"""Each request gets its own reply, once and in time, whatever is killed.

    python3 examples/ask-for-material/check.py                 # under a minute
    python3 examples/ask-for-material/check.py --plant forged  # must fail: a reply that was not made for its request
    python3 examples/ask-for-material/check.py --only go       # its command alone, which then has to be there

Starts a real Kafka, the simulated upstream with busy answers and broken connections, and the connector. Two requesters, as two services
would be, ask from several threads: for good materials, for some that can't be made, and for some whose deadline has passed. The
connector is killed with SIGKILL in the middle, and somebody else's reply stands on the topic in an aborted transaction. Each future must
have the reply of its own request, with the status that it has to have, and a whole image; the topic must have exactly one reply for each.
A request to a connector that is away must end as TimeoutError.

Then the commands of Python, Java and Go ask for one that is made, one that is refused and one that is too late, while somebody writes
replies before theirs: under another header, and under their own in a transaction that is aborted. Without a connector they end with 3.

Needs Rust, Java 17 or later, Maven, and Python 3.11 or later; where there is no Go (1.26), its command is not tried, and that is said.
Packages are installed below target/. PROMOTER_BINARIES names a directory, laid out as target/debug is, whose connector and broker are
taken instead of building them.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests" / "soak"), str(HERE.parent / "checking"), str(HERE)]
from installed import there  # noqa: E402
from java import maven  # noqa: E402
from parts import ROOT, TARGET, carry_out, configuration, promoter_id  # noqa: E402

APP, PROMOTERS = "wx_simulated", 20
FLAGS = ["--app", APP, "--promoter", promoter_id(1), "--path", "pages/index"]
# The commands, and what each needs.
PROGRAMS = {"python": sys.executable, "java": "mvn", "go": "go"}
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
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
    begin = time.monotonic()
    asked = [ask(requesters[number % 2], number) for number in range(options.requests)]
    with requesters[0].lock:
        last = list(requesters[0].waiting)[-1]
    forge(stranger, last, commit=options.plant == "forged")
    wait_until(lambda: sum(reply.done() for _, reply in asked) > options.requests // 5)
    connector.kill9()
    print(f"connector killed after {sum(reply.done() for _, reply in asked)} of {options.requests} replies", flush=True)
    connector = world.connector("connector")
    with ThreadPoolExecutor(16) as pool:
        wrong = [text for text in pool.map(lambda each: judge(*each), asked) if text]
    print(f"{options.requests} replies after {time.monotonic() - begin:.1f} s; {len(wrong)} wrong")

    wrong += twice_or_missing(world, options.requests)
    built = {name: {"python": python, "java": java, "go": go}[name](world) for name in names}
    with Forger(world.bootstrap, stranger, commit=options.plant == "forged"):
        wrong += commands_get_theirs(world, built)
    code = connector.terminate(60)
    wrong += answered_by_nobody(world, requesters[0], built)
    for requester in requesters:
        requester.close()
    print("\n".join(wrong[:20]) or "nothing is wrong")
    return not wrong and code == 0


def ask(requester, number):
    """What was asked for, and the future of its reply."""
    more, within, status = KINDS[number % len(KINDS)]
    wanted = {"path": f"pages/index?number={number}", "promoter": promoter_id(1 + number % PROMOTERS), "status": status}
    return wanted, requester.ask(APP, wanted["promoter"], wanted["path"], timedelta(seconds=within), **more)


def wait_until(holds, limit=120):
    deadline = time.monotonic() + limit
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"not so after {limit} s")
        time.sleep(0.01)


def judge(wanted, future):
    """What is wrong with the reply, or nothing."""
    try:
        reply = future.result(timeout=180)
    except Exception as error:
        return f"{wanted}: {error!r}"
    if (reply["promoter_openid"], reply["status"]) != (wanted["promoter"], wanted["status"]):
        return f"{wanted}: got {reply['promoter_openid']}, {reply['status']} {reply['errmsg']}"
    if reply["status"] != "SUCCEEDED":
        return None
    if not reply["share_path"].startswith(wanted["path"]):
        return f"{wanted}: got the link {reply['share_path']}"
    return None if reply["qrcode"].startswith((PNG, JPEG)) else f"{wanted}: its image begins with {reply['qrcode'][:8]}"


def producer_of_a_stranger(world):
    """Made before anything is asked, so that what it writes comes before the last replies. Its keys go where the connector's go."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": world.bootstrap, "transactional.id": "stray", "partitioner": "murmur2_random"})
    producer.init_transactions(30)
    return producer


def forge(producer, correlation, commit):
    """A reply of another promoter under the header of a request, by whoever may write to the topic. Aborted, nobody may see it."""
    import io

    from ask import CORRELATION, HEADER, RESULT, RESULTS
    from fastavro import parse_schema, schemaless_writer

    fields = {"request_id": correlation, "app_id": APP, "promoter_openid": "oAnother", "status": "SUCCEEDED", "issued_at": 0}
    body = io.BytesIO()
    schemaless_writer(body, parse_schema(RESULT), fields)
    producer.begin_transaction()
    producer.produce(RESULTS, key=f"{APP}/{promoter_id(1)}", value=HEADER + body.getvalue(), headers={CORRELATION: correlation})
    if producer.flush(30):
        raise SystemExit(f"{RESULTS} did not take the reply within 30 s")
    producer.commit_transaction(30) if commit else producer.abort_transaction(30)


class Forger:
    """Overhears requests for the first promoter, and writes two replies before theirs: one under somebody else's header, and one under
    their own, which nobody may see, for it is aborted."""

    def __init__(self, bootstrap, producer, commit):
        from ask import REQUESTS
        from confluent_kafka import Consumer, TopicPartition

        self.producer, self.commit, self.closed = producer, commit, False
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
        print(f"{self.forged} requests overheard")

    def overhear(self):
        from ask import CORRELATION

        while not self.closed:
            message = self.consumer.poll(0.05)
            if message and message.error() is None:
                forge(self.producer, "somebody-else", commit=True)
                forge(self.producer, dict(message.headers())[CORRELATION].decode(), self.commit)
                self.forged += 1


def twice_or_missing(world, requests):
    """Replies on the topic, by their header: exactly one each."""
    from ask import CORRELATION, RESULTS
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

    consumer = Consumer({"bootstrap.servers": world.bootstrap, "group.id": "check", "enable.partition.eof": True,
                         "isolation.level": "read_committed"})
    unfinished = set(consumer.list_topics(RESULTS, timeout=10).topics[RESULTS].partitions)
    consumer.assign([TopicPartition(RESULTS, number, OFFSET_BEGINNING) for number in unfinished])
    replies, deadline = Counter(), time.monotonic() + 60
    while unfinished and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message and message.error() is None:
            replies[dict(message.headers())[CORRELATION]] += 1
        elif message and message.error().code() == KafkaError._PARTITION_EOF:
            unfinished.discard(message.partition())
    consumer.close()
    print(f"{replies.total()} replies on the topic, for {len(replies)} requests")
    return [] if len(replies) == replies.total() == requests else ["not one reply for each request"]


def commands_get_theirs(world, built):
    """One request of each kind by the commands; their exit codes tell whether it SUCCEEDED."""
    wrong = []
    for name, command in built.items():
        for extra, within, code, status in (("spring", 30, 0, "SUCCEEDED"), ("春" * 27, 30, 1, "REJECTED"), ("spring", -1, 1, "EXPIRED")):
            answer = subprocess.run(command(world.bootstrap, extra, within), capture_output=True, text=True, timeout=120)
            reply = json.loads(answer.stdout) if answer.stdout else {"status": answer.stderr, "promoter_openid": None}
            found = (reply["status"], reply["promoter_openid"], answer.returncode)
            print(f"{name}: {reply['status']} for {reply['promoter_openid']}, exit code {answer.returncode}")
            wrong += [] if found == (status, promoter_id(1), code) else [f"{name}: {found} for {status}"]
            # Go's leaves it out; who prints it says how long it is.
            if code == 0 and not reply.get("qrcode", "0 bytes"):
                wrong.append(f"{name}: prints no image, and {reply['qrcode_type']}")
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


if __name__ == "__main__":
    sys.exit(carry_out("ask-for-material", arguments, run, ["connector"], ("each its own, once", "NOT each its own, once")))
