"""Records of every topic of a real connector, as bytes: once as single objects, once by a schema registry."""

import json
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from parts import ROOT, configuration, promoter_id

sys.path.append(str(ROOT / "examples" / "checking"))
from java import Registry  # noqa: E402

APP = "wx_simulated"
# A merchant leaves role_id out of one promoter in ten, for all rows of his: of 20 promoters one run in eight had none such, of 80 hardly any.
PROMOTERS = 80
# By the name of the record: its topic, below the prefix, and its schema's file.
TOPICS = {
    "Touch": ("touches", "touch.avsc"),
    "Order": ("orders", "order.avsc"),
    "DeadLetter": ("dead-letters", "dead-letter.avsc"),
    "MaterialRequest": ("material.requests", "material-request.avsc"),
    "MaterialResult": ("material.results", "material-result.avsc"),
    "Promoter": ("registry", "promoter.avsc"),
    "LedgerDay": ("ledger", "ledger-day.avsc"),
}
# A request that nobody can read, for a dead letter that names its topic.
UNREADABLE = b"no request"


def publish(world, seed):
    """Lets the connector write all kinds of records in both framings. By framing, then by record: values. And the registry's URL."""
    world.begin(f"--seed={seed}", f"--promoters={PROMOTERS}", "--quiet-after=10s", "--spell=2s", "--late-max=5s", "--moving=5s", "--faults=none",
                "--history=3d", "--touches-per-hour=1", "--orders-per-hour=1", "--refund-within=2d", "--dead-rows=0.02")
    registry = Registry(world).url
    framings = {"single": "", "confluent": f'[schema_registry]\nurl = "{registry}"\n'}
    for framing, section in framings.items():
        start(world, framing, section)
    for framing in framings:
        world.children[framing].wait_for(r"(log is open, polling begins)", 60)
        register(world, framing)
        ask_for_material(world, framing)
    wanted = until_settled(world, framings)
    return {framing: read(world, framing, wanted) for framing in framings}, registry


def start(world, framing, section):
    """Both poll the same world, under names and on topics of their own."""
    names = ", ".join(f'"{promoter_id(number)}"' for number in range(1, PROMOTERS + 1))
    first = datetime.now(timezone.utc) - timedelta(days=4)
    config = configuration(world, framing, 2, f"promoters = [{names}]", start_from=first.isoformat(timespec="seconds"))
    config = config.replace("[connector]", f'[connector]\nname = "{framing}"').replace("[topics]", f'[topics]\nprefix = "{framing}"')
    (world.directory / f"{framing}.toml").write_text(config + section)
    world.connector(framing)


def command(world, framing, *arguments, codes=(0,)):
    done = subprocess.run([world.binary, *arguments, "--config", world.directory / f"{framing}.toml"], capture_output=True, text=True, timeout=120)
    if done.returncode not in codes:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def register(world, framing):
    """One promoter with every field that an operator can give, one without any, one who is removed again, and whom the upstream lists."""
    first = (datetime.now(timezone.utc) - timedelta(days=4)).isoformat(timespec="seconds")
    command(world, framing, "promoters", "add", f"{APP}/{promoter_id(1)}", "--feeds=touches,orders,refunds",
            f"--start-from={first}", "--tag=city=杭州", "--tag=level=3")
    command(world, framing, "promoters", "add", f"{APP}/{promoter_id(2)}")
    command(world, framing, "promoters", "add", f"{APP}/oElsewhere", "--paused")
    command(world, framing, "promoters", "remove", f"{APP}/oElsewhere")
    command(world, framing, "promoters", "discover")


def ask_for_material(world, framing):
    """The command says by its exit code whether material was made; here both count."""
    def ask(promoter, *more):
        command(world, framing, "material", "request", "--app", APP, "--promoter", promoter, "--path=pages/index", *more, codes=(0, 1))

    ask(promoter_id(1), "--extra-info=spring", "--title=春", "--share-type=0", "--env-version=release")
    ask(promoter_id(2))
    ask(promoter_id(3), "--env-version=trial", "--share-type=2")
    # The upstream does not know him, and says so by a code.
    ask("oElsewhere")
    producer = Producer({"bootstrap.servers": world.bootstrap})
    producer.produce(f"{framing}.material.requests", key="garbage", value=UNREADABLE)
    producer.flush(30)


def until_settled(world, framings, limit=180):
    """Until the upstream shows nothing new and both connectors have published it; then how many touches and orders there have to be."""
    deadline = time.monotonic() + limit
    wanted = there = None
    while wanted is None or there != dict.fromkeys(framings, wanted):
        if time.monotonic() > deadline:
            raise SystemExit(f"not settled after {limit} s: {world.settlement()}, {there} of {wanted}")
        for framing in framings:
            world.children[framing].must_run()
        if world.settlement()["settled"]:
            kinds = [json.loads(line)["kind"] for line in world.ask("_truth").splitlines()]
            wanted = {"Touch": kinds.count("touch"), "Order": kinds.count("order")}
            there = {framing: {name: len(values(world, framing, name)) for name in wanted} for framing in framings}
        time.sleep(0.2)
    return wanted


def read(world, framing, wanted):
    """All values of each topic, once the connector has stopped."""
    if world.children[framing].terminate(60) != 0:
        raise SystemExit(f"the connector did not stop in order\n{world.children[framing].tail()}")
    found = {name: values(world, framing, name) for name in TOPICS}
    counts = {name: len(each) for name, each in found.items()}
    print(f"{framing}: {counts}", flush=True)
    if counts | wanted != counts:
        raise SystemExit(f"the upstream has shown {wanted}")
    return found


def values(world, framing, name, limit=60):
    """All committed values of a topic, but for tombstones and what is no record."""
    topic = f"{framing}.{TOPICS[name][0]}"
    consumer = Consumer({"bootstrap.servers": world.bootstrap, "group.id": "generated", "enable.partition.eof": True,
                         "isolation.level": "read_committed", "enable.auto.commit": False})
    unfinished = set(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in unfinished])
    found, deadline = [], time.monotonic() + limit
    while unfinished:
        if time.monotonic() > deadline:
            raise SystemExit(f"the end of {topic} was not reached within {limit} s")
        for message in consumer.consume(10_000, 0.2):
            if message.error() is None:
                found.append(message.value())
            elif message.error().code() == KafkaError._PARTITION_EOF:
                unfinished.discard(message.partition())
    consumer.close()
    return [value for value in found if value not in (None, UNREADABLE)]
