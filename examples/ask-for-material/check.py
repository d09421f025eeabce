#!/usr/bin/env python3
"""Each request gets its own reply, once and in time, whatever is killed.

    python3 examples/ask-for-material/check.py                 # under a minute
    python3 examples/ask-for-material/check.py --plant forged  # must fail: a reply that was not made for its request

Starts a real Kafka, the simulated upstream with busy answers and broken connections, and the connector. Two requesters, as two services
would be, ask from several threads: for good materials, for some that can't be made, and for some whose deadline has passed. The
connector is killed with SIGKILL in the middle, and somebody else's reply stands on the topic in an aborted transaction. Each future must
have the reply of its own request, with the status that it has to have, and a whole image; the topic must have exactly one reply for each.
A request to a connector that is away must end as TimeoutError.

Then the commands of Python, Java and, where there is a Go, that of Go, ask for one that is made and one that is refused.

Needs Rust, Java 17 or later, Maven, and Python 3.11 or later; Go 1.26 is tried if it is there. Packages are installed below target/.
PROMOTER_BINARIES names a directory, laid out as target/debug is, whose connector and broker are taken instead of building them.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests" / "soak"), str(HERE)]
from parts import ROOT, TARGET, carry_out, configuration, promoter_id  # noqa: E402

APP, PROMOTERS = "wx_simulated", 20
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
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--plant", choices=["forged"], help="a fault that has to be found: somebody else's reply under a request's header")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="of the world")
    parser.add_argument("--release", action="store_true", help="the optimised connector")
    return parser.parse_args()


def run(options, world):
    # Its packages are there only within the environment.
    from ask import Requester

    flags = [f"--seed={options.seed}", f"--promoters={PROMOTERS}", "--faults=none", "--fault=busy=0.1", "--fault=reset=0.02"]
    world.begin(*flags, "--touches-per-hour=0", "--orders-per-hour=0", "--latency-min=50ms")
    (world.directory / "connector.toml").write_text(configuration(world, "connector", 6, "promoters = []", start_from="now"))
    connector = world.connector("connector")
    connector.wait_for(r"(log is open, polling begins)", 60)

    requesters = [Requester(world.bootstrap), Requester(world.bootstrap)]
    stranger = producer_of_a_stranger(world)
    begin = time.monotonic()
    asked = [ask(requesters[number % 2], number) for number in range(options.requests)]
    forge(stranger, requesters[0], commit=options.plant == "forged")
    wait_until(lambda: sum(reply.done() for _, reply in asked) > options.requests // 5)
    connector.kill9()
    print(f"connector killed after {sum(reply.done() for _, reply in asked)} of {options.requests} replies", flush=True)
    connector = world.connector("connector")
    with ThreadPoolExecutor(16) as pool:
        wrong = [text for text in pool.map(lambda each: judge(*each), asked) if text]
    print(f"{options.requests} replies after {time.monotonic() - begin:.1f} s; {len(wrong)} wrong: {wrong[:5]}")

    wrong += twice_or_missing(world, options.requests)
    wrong += commands_get_theirs(world)
    code = connector.terminate(60)
    wrong += answered_by_nobody(requesters[0])
    for requester in requesters:
        requester.close()
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
    """Made before anything is asked, so that what it writes comes before the last replies."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": world.bootstrap, "transactional.id": "stray"})
    producer.init_transactions(30)
    return producer


def forge(producer, requester, commit):
    """A reply of another promoter under the header of the last request, by whoever may write to the topic. Aborted, nobody may see it."""
    import io

    from ask import CORRELATION, HEADER, RESULTS
    from fastavro import schemaless_writer

    with requester.lock:
        correlation = list(requester.waiting)[-1]
    fields = {"request_id": correlation, "app_id": APP, "promoter_openid": "oAnother", "status": "SUCCEEDED", "issued_at": 0}
    body = io.BytesIO()
    schemaless_writer(body, requester.schema, fields)
    producer.begin_transaction()
    producer.produce(RESULTS, value=HEADER + body.getvalue(), headers={CORRELATION: correlation})
    if producer.flush(30):
        raise SystemExit(f"{RESULTS} did not take the reply within 30 s")
    producer.commit_transaction(30) if commit else producer.abort_transaction(30)


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


def commands_get_theirs(world):
    """One request of each kind by the commands; their exit codes tell whether it SUCCEEDED."""
    wrong = []
    for name, command in commands().items():
        for extra, code, status in (("spring", 0, "SUCCEEDED"), ("春" * 27, 1, "REJECTED")):
            answer = subprocess.run(command(world.bootstrap, extra), capture_output=True, text=True, timeout=120)
            found = json.loads(answer.stdout)["status"] if answer.stdout else answer.stderr
            print(f"{name}: {found}, exit code {answer.returncode}")
            wrong += [] if (answer.returncode, found) == (code, status) else [f"{name}: {found} for {status}"]
    return wrong


def commands():
    """Those that can be built here: by name what is run for a bootstrap and an extra_info."""
    flags = ["--app", APP, "--promoter", promoter_id(1), "--path", "pages/index"]
    python = [sys.executable, HERE / "ask.py", *flags]
    built = TARGET / "ask-for-material"
    shutil.copytree(HERE / "java", built / "java", dirs_exist_ok=True)
    subprocess.run(["mvn", "-q", "-B", "package"], cwd=built / "java", check=True)
    java = ["java", "-Xmx128m", "-XX:+UseSerialGC", "-cp", f"{built}/java/target/ask.jar:{built}/java/target/lib/*", "Ask"]
    there = {
        "python": lambda bootstrap, extra: [*python, "--bootstrap", bootstrap, "--extra-info", extra],
        "java": lambda bootstrap, extra: [*java, bootstrap, ROOT / "schemas", APP, promoter_id(1), "pages/index", extra],
    }
    if shutil.which("go"):
        subprocess.run(["go", "build", "-o", built / "ask", "."], cwd=HERE / "go", check=True)
        go = [built / "ask", "-schema", ROOT / "schemas" / "material-result.avsc", *flags]
        there["go"] = lambda bootstrap, extra: [*go, "--bootstrap", bootstrap, "--extra-info", extra]
    return there


def answered_by_nobody(requester):
    """The connector is away: whoever waits must be told, soon after the deadline."""
    try:
        requester.ask(APP, promoter_id(1), "pages/index", timedelta(seconds=1)).result(timeout=60)
    except TimeoutError as error:
        print(f"without a connector: {error}")
        return [] if str(error) else ["the future itself was never ended"]
    return ["an answer, and nobody to give it"]


if __name__ == "__main__":
    sys.exit(carry_out("ask-for-material", arguments, run, ["connector"], ("each its own, once", "NOT each its own, once")))
