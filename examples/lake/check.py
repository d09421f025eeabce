#!/usr/bin/env python3
"""The tables hold what the upstream has shown, each event once, whatever is killed; and an erased user is gone from the disk.

    python3 examples/lake/check.py                 # two minutes
    python3 examples/lake/check.py --plant double  # must fail, and so must days: a batch that is appended twice, an erasure that misses days

Starts a real Kafka, the simulated upstream with its faults, the connector and the ingestion; kills the connector once and the ingestion
again and again with SIGKILL, and runs a second one beside it for a while; and leaves a touch and an order of aborted transactions on the
topics. At the end the rows of each table, their distinct event ids, the days that it is partitioned by, and the payments of each Beijing
day, asked of DuckDB, must be those of the upstream's truth, and every field of each row the topic's; so must the events of each day that is
complete by the ledger, asked as docs/consuming.md asks it. Then a user with rows of several days is erased while the ingestion runs: exactly those rows are gone, from every
file of the warehouse, their number is told, and nothing is read again; whoever is not there is told to be nobody, and the
ingestion goes on; and an erasure that ended between its commits and the removal of files is ended by the next one. The ingestion goes on, too, where files were
rewritten by a snapshot without offsets, and where all was deleted that it has read. Last, a value of a later
schema comes, records are deleted from the topic before they are read, and a topic is deleted and made anew, each of which must end the
ingestion; so must topics that are not there, and a question or an erasure in a warehouse that is not there.

Needs Rust, Java 17 or later, Maven, and Python 3.11 or later; the Python packages are installed below target/. PROMOTER_BINARIES names
a directory, laid out as target/debug is, whose connector and broker are taken instead of building them.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import time
import uuid
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests" / "soak"), str(HERE.parent / "checking"), str(HERE)]
from connector import APPS, start_connector  # noqa: E402
from parts import ROOT, TARGET, carry_out, tell  # noqa: E402
from truth import BEIJING, day_of, lines_of, orders_of  # noqa: E402

# Promoters of each app.
PROMOTERS, HISTORY_DAYS, PARTITIONS = 10, 3, 6
# On how many days the user who is erased has a touch and a payment.
USER_DAYS = 3
BY_DAY = """select (paid_time at time zone 'Asia/Shanghai')::date as day, sum(paid_amount) from orders
            where status = 'PAID' group by day"""
# What the upstream's truth tells: all but what is the connector's own, and the merchant's words, which may be edited meanwhile.
TOUCH_COLUMNS = "app_id, promoter_openid, openid, epoch(create_time)::bigint as create_time, path, scene, share_extra_info"
COLUMNS = {
    "touches": TOUCH_COLUMNS,
    "orders": f"{TOUCH_COLUMNS}, mch_id, trade_no, out_trade_no, status, status_code, paid_amount, epoch(paid_time)::bigint as paid_time, "
              "epoch(refunded_time)::bigint as refunded_time",
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5, help="SIGKILLs of the ingestion")
    parser.add_argument("--plant", choices=["double", "days"], help="a fault that has to be found: a table's last batch is appended again "
                        "(double); an erasure leaves the rows of all but the user's last day (days)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="of the world and of the kills")
    parser.add_argument("--release", action="store_true", help="the optimised connector")
    return parser.parse_args()


def run(options, world):
    world.begin(*(f"--app={app}" for app in APPS), f"--seed={options.seed}", f"--promoters={PROMOTERS}", "--quiet-after=40s",
                "--spell=3s", "--late-max=5s", "--moving=5s", f"--history={HISTORY_DAYS}d", "--touches-per-hour=20", "--orders-per-hour=5",
                "--refund-within=2d")
    start_connector(world, PROMOTERS, PARTITIONS, HISTORY_DAYS, apps=APPS).wait_for(r"(log is open, polling begins)", 60)
    warehouse = world.directory / "warehouse"
    kill_again_and_again(options, world, warehouse)

    wanted = until_settled(world)
    days = events_of_days(wanted)
    add_strays(world, wanted)
    good = wait_for_rows(world, warehouse, wanted)
    if options.plant == "double":
        append_again(warehouse)
    good &= tables_are(world, warehouse, wanted)
    good &= days_are_complete(world, days)
    # What is erased is counted from there.
    if not good:
        return False
    good = erased(world, warehouse, wanted, options.plant == "days")
    good = good and cut_off_is_ended(warehouse, wanted)
    code = world.children["ingest"].terminate(60)
    good &= tell(code == 0, f"ingestion stopped with {code}", "NOT stopped in order")
    good = good and rewritten_goes_on(world, warehouse, wanted) and emptied_goes_on(world, warehouse, wanted)
    return good and all([later_is_told(world, warehouse), deleted_is_told(world, warehouse), missing_is_told(world), anew_is_told(world, warehouse)])


def ingest(world, warehouse, name="ingest"):
    return world.start(name, sys.executable, HERE / "lake.py", "ingest", "--bootstrap", world.bootstrap,
                       "--warehouse", warehouse, "--batch-records", "1500")


def kill_again_and_again(options, world, warehouse):
    """Each time after it has committed something, and while it has more to do; two of them at once for a while."""
    chance = random.Random(options.seed)
    child = ingest(world, warehouse)
    for kill in range(options.kills):
        before = committed(child)
        wait_until(lambda: committed(child) > before, [child])
        time.sleep(chance.uniform(0, 0.5))
        child.kill9()
        print(f"ingestion killed; {rows(warehouse)} rows", flush=True)
        child = ingest(world, warehouse)
        if kill == options.kills // 2:
            world.children["connector"].kill9()
            world.connector("connector")
    # Both read what has come, and both append it: one of them has to give way.
    second = ingest(world, warehouse, "second")
    wait_until(lambda: any("another commit came first" in each.text() for each in (child, second)), (child, second))
    second.kill9()
    del world.children["second"]


def committed(child):
    """Commits of all that have run under its name."""
    return child.text().count(" rows\n")


def wait_until(holds, children, limit=90):
    deadline = time.monotonic() + limit
    while not holds():
        for child in children:
            child.must_run()
            if time.monotonic() > deadline:
                raise SystemExit(f"not so after {limit} s\n{child.tail()}")
        time.sleep(0.02)


def rows(warehouse):
    from lake import NAMESPACE, TABLES, catalog

    counts = {}
    for name in TABLES:
        try:
            counts[name] = catalog(warehouse).load_table(f"{NAMESPACE}.{name}").scan().count()
        except Exception as error:  # It may be about to be made.
            counts[name] = repr(error)
    return counts


def until_settled(world, limit=180):
    """What the upstream has shown, once that is everything, by table."""
    deadline = time.monotonic() + limit
    while not world.settlement()["settled"]:
        for child in world.children.values():
            child.must_run()
        if time.monotonic() > deadline:
            raise SystemExit(f"not settled after {limit} s: {world.settlement()}")
        time.sleep(0.5)
    lines = lines_of(world.ask("_truth"))
    return {"touches": [line for line in lines if line["kind"] == "touch"], "orders": orders_of(lines)}


def add_strays(world, wanted):
    """One event on each topic that nobody may see who reads what is committed; and touches and payments on several days of a user who has an
    order, for the simulated upstream gives each row a user of its own, and a user has to be erased from all files of both tables."""
    import events

    order = events.stray_order(wanted["orders"], "event")
    touch = {name: order[name] for name in ("event_id", "app_id", "id_kind", "promoter_openid", "openid", "observed_at")}
    touch["create_time"] = order["paid_time"]
    events.publish(world.bootstrap, "touch", touch, commit=False)
    events.publish(world.bootstrap, "order", order, commit=False)
    for number in range(USER_DAYS):
        at = order["paid_time"] - number * 86_400_000
        again = {"event_id": f"{number + 1:032}"}
        events.publish(world.bootstrap, "touch", touch | again | {"create_time": at})
        events.publish(world.bootstrap, "order", order | again | {"paid_time": at, "trade_no": f"again-{number}"})
        wanted["touches"].append(touch | again | {"create_time": at // 1000})
        wanted["orders"].append(order | again | {"paid_time": at // 1000, "trade_no": f"again-{number}"})


def wait_for_rows(world, warehouse, wanted, verdict=None, limit=90):
    """Until there are as many rows as there have to be; then one more batch's time, for those that would be too many."""
    counts, deadline = {name: len(lines) for name, lines in wanted.items()}, time.monotonic() + limit
    while rows(warehouse) != counts and time.monotonic() < deadline:
        world.children["ingest"].must_run()
        time.sleep(1)
    time.sleep(7)
    return tell(rows(warehouse) == counts, f"shown {counts}; in the tables {rows(warehouse)}", verdict)


def ask(warehouse, sql):
    import duckdb
    from lake import TABLES, catalog, open_table

    database = duckdb.connect()
    for name in TABLES:
        database.register(name, open_table(catalog(warehouse), name).scan().to_arrow())
    return database.sql(sql).fetchall()


def tables_are(world, warehouse, wanted):
    days = Counter()
    for line in wanted["orders"]:
        if line["status"] == "PAID":
            days[day_of(line["paid_time"])] += line["paid_amount"]
    found = {day.isoformat(): fen for day, fen in ask(warehouse, BY_DAY)}
    good = tell(found == days, f"payments of {len(days)} days, {sum(found.values())} fen, {sum(days.values())} by the truth")
    for name, lines in wanted.items():
        [(count, ids)] = ask(warehouse, f"select count(*), count(distinct event_id) from {name}")
        good &= tell(count == ids == len(lines) > 1000, f"{name}: {count} rows, {ids} event ids, {len(lines)} by the truth")
        good &= columns_are(warehouse, name, lines)
        good &= values_are(world, warehouse, name)
        good &= days_are(warehouse, name, lines)
    return good


def columns_are(warehouse, name, lines):
    columns = COLUMNS[name]
    wanted = Counter(tuple(line.get(column.split()[-1]) for column in columns.split(", ")) for line in lines)
    found = Counter(ask(warehouse, f"select {columns} from {name}"))
    return tell(found == wanted, f"{name}: {(found - wanted).total()} rows differ from the truth's")


def values_are(world, warehouse, name):
    """Whether each row is a value of the topic, in every field: the truth does not have event_id, observed_at and the merchant's words."""
    from events import TOPICS, schema_of
    from lake import TABLES, catalog, open_table
    from topic import Topic

    kind = TABLES[name][0]
    schema, wanted = schema_of(kind), Counter()
    fields = [field["name"] for field in schema.schema["fields"]]

    class Values(Topic):
        def take(self, message):
            value = schema.read(message.value())
            wanted[tuple(value[field] for field in fields)] += 1

    with Values(world.bootstrap, TOPICS[kind]) as topic:
        topic.read_to_end()
    found = Counter(tuple(row.get(field) for field in fields) for row in open_table(catalog(warehouse), name).scan().to_arrow().to_pylist())
    return tell(found == wanted, f"{name}: {(found - wanted).total()} rows differ in one of {len(fields)} fields from the topic's")


def days_are(warehouse, name, lines):
    """Whether the table is partitioned by the day of the fact."""
    from lake import TABLES, catalog, open_table

    column = TABLES[name][1]
    wanted = {datetime.fromtimestamp(line[column], timezone.utc).date() for line in lines}
    partitions = open_table(catalog(warehouse), name).inspect.partitions().to_pylist()
    found = {each.get("partition", {}).get(f"{column}_day") for each in partitions}
    return tell(found == wanted, f"{name}: partitions of {len(found)} days, {len(wanted)} by the truth")


def events_of_days(wanted):
    """How many the topics have to hold, by app, feed and Beijing day. Payments are listed for days, and refunds are a feed of their own."""
    days = Counter((line["app_id"], "touches", day_of(line["create_time"])) for line in wanted["touches"])
    return days + Counter((line["app_id"], "orders", day_of(line["paid_time"])) for line in wanted["orders"] if line["status"] != "REFUNDED")


def days_are_complete(world, days, limit=60):
    """Asks the ledger as docs/consuming.md does. Of three days ago touches and orders are complete by the defaults, of two days ago touches,
    of today nothing, and of orders no day that docs/time.md says is not settled yet; whatever is complete has as many events as the upstream has
    shown."""
    began, deadline = datetime.now(BEIJING), time.monotonic() + limit
    today = began.date()
    # A poll that comes a while after the moment closes the day.
    settled = (today - last_settled(began - timedelta(minutes=10))).days
    must = {3: {"touches", "orders"}, 2: {"touches"}, 1: set(), 0: set()}
    must[settled] = must.get(settled, set()) | {"orders"}
    while True:
        told = {(app, back): dict(complete(world, app, (today - timedelta(days=back)).isoformat())) for app in APPS for back in must}
        if all(must[back] <= feeds.keys() for (_, back), feeds in told.items()) or time.monotonic() > deadline:
            break
    open_since = (today - last_settled(datetime.now(BEIJING))).days
    good = all(must[back] <= feeds.keys() and (back or not feeds) for (_, back), feeds in told.items())
    good &= not any("orders" in feeds for (_, back), feeds in told.items() if back < open_since)
    for (app, back), feeds in told.items():
        day = (today - timedelta(days=back)).isoformat()
        good &= feeds == {feed: days[app, feed, day] for feed in feeds}
        truth = {feed: days[app, feed, day] for feed in ("touches", "orders")}
        print(f"  {app}, {day}: complete are {feeds or 'none'}; by the truth {truth}")
    return tell(good, "days by the ledger", "NOT complete by the ledger")


def last_settled(now):
    """The last day whose payments are settled, by the page's own words."""
    [hours] = re.findall(r"(\d+) hours after its 0:00", (ROOT / "docs" / "time.md").read_text())
    return (now - timedelta(hours=int(hours))).date()


def complete(world, app, day):
    """The feeds of a complete day with their events, by the page's own words."""
    import duckdb
    import pyarrow
    from events import Latest

    page = (ROOT / "docs" / "consuming.md").read_text()
    question = page.split("## Which days are complete")[1].split("```sql")[1].split("```")[0]
    with Latest(world.bootstrap, "promoter.ledger", "ledger-day") as ledger:
        ledger.read_to_end()
    database = duckdb.connect()
    database.register("ledger", pyarrow.Table.from_pylist(list(ledger.rows.values())))
    question = question.replace("2026-11-24", day).replace("wx1", app)
    return database.sql(f"select feed, published::bigint from ({question})").fetchall()


def append_again(warehouse):
    from lake import catalog, open_table

    table = open_table(catalog(warehouse), "orders")
    table.append(table.scan(limit=10).to_arrow(), snapshot_properties={"kafka.offsets": table.current_snapshot().summary["kafka.offsets"]})


def erased(world, warehouse, wanted, planted):
    """The user with the most orders of those who have rows in both tables; and nobody, who must be told."""
    touches, orders = (Counter(line["openid"] for line in wanted[name]) for name in ("touches", "orders"))
    user = max(touches.keys() & orders.keys(), key=orders.get)
    # Files of a commit under way are left alone, so those of the last batch have to be older than one takes.
    time.sleep(11)
    program = missing_days(world, wanted, user) if planted else HERE / "lake.py"
    began = time.time()
    answers = [erase(warehouse, each, program) for each in (user, "oNOBODY")]
    print("".join(answer.stderr for answer in answers).strip())
    left = {name: [line for line in lines if line["openid"] != user] for name, lines in wanted.items()}
    # The ingestion has to go on from the erasure, of which it does not know: its own snapshot is gone, with its files.
    left["touches"].append(publish_touch(world, "oAFTERWARDS"))
    went_on = wait_for_rows(world, warehouse, left, "NOT erased")
    told = all(f"{name}: {of[user]} rows erased" in answers[0].stderr for name, of in (("touches", touches), ("orders", orders)))
    told &= [answer.returncode for answer in answers] == [0, 1] and "nobody was erased" in answers[1].stderr
    days = {day_of(line["create_time"]) for line in wanted["touches"] if line["openid"] == user}
    having = files_of(warehouse, wanted, user)
    old = [path for path in warehouse.rglob("snap-*.avro") if path.stat().st_mtime < began]
    # What has to be there from now on.
    wanted |= left
    good = tell(told and not having and not old and len(days) == USER_DAYS,
                f"a user with {touches[user]} touches of {len(days)} days and {orders[user]} events of orders erased, which "
                f"{'is' if told else 'is NOT'} what was told; of the user and the orders {len(having)} files tell, as "
                f"{[path.name for path in having[:2]]}; {len(old)} older snapshots are on the disk", "NOT erased")
    return went_on and good


def files_of(warehouse, wanted, user):
    """Those that tell of a user or of the user's orders."""
    of_user = [line for lines in wanted.values() for line in lines if line["openid"] == user]
    theirs = {line[column] for line in of_user for column in ("openid", "trade_no") if column in line}
    return [path for path in warehouse.rglob("*") if path.is_file() and any_in(path, theirs)]


def cut_off_is_ended(warehouse, wanted):
    """Whether the erasure of another user, who ended when the rows were deleted and no file was removed, is ended by the next one, which has to
    say so; and the one after it finds nobody."""
    from lake import TABLES, catalog, erase_from

    user = next(line["openid"] for line in wanted["orders"])
    rows_of = sum(erase_from(catalog(warehouse), name, user) for name in TABLES)
    before = files_of(warehouse, wanted, user)
    answers = [erase(warehouse, user) for _ in range(2)]
    after = files_of(warehouse, wanted, user)
    wanted |= {name: [line for line in lines if line["openid"] != user] for name, lines in wanted.items()}
    codes = [answer.returncode for answer in answers]
    good = rows_of > 0 and before and not after and codes == [0, 1] and "was cut off" in answers[0].stderr
    return tell(good, f"an erasure of {rows_of} rows that was cut off, which {len(before)} files told: called twice again it ended with {codes}, and "
                f"{len(after)} files tell\n{answers[0].stderr.strip()}", "an erasure that was cut off is NOT ended")


def erase(warehouse, user, program=HERE / "lake.py"):
    return subprocess.run([sys.executable, program, "erase", "--warehouse", warehouse, "--user", user], capture_output=True, text=True)


def publish_touch(world, user):
    """As the truth would tell it."""
    import events

    touch = touch_of_now(user)
    events.publish(world.bootstrap, "touch", touch)
    return touch | {"create_time": touch["create_time"] // 1000}


def touch_of_now(user):
    now = int(time.time()) * 1000
    return {"event_id": uuid.uuid4().hex, "app_id": APPS[0], "id_kind": "OPENID", "promoter_openid": "oStray", "openid": user,
            "create_time": now, "observed_at": now}


def any_in(path, words):
    """Whether a file has one of the words, or the beginning of one, of which an Iceberg bound has 16 characters."""
    import duckdb
    from fastavro import reader

    if path.suffix == ".parquet":
        columns = [name for name, *_ in duckdb.sql("describe select * from read_parquet($file)", params={"file": str(path)}).fetchall()]
        of_users = [name for name in columns if name in ("openid", "trade_no")]
        which = " or ".join(f"list_contains($words, {name})" for name in of_users)
        having = duckdb.sql(f"select count(*) from read_parquet($file) where {which}", params={"file": str(path), "words": sorted(words)})
        return having.fetchall()[0][0] > 0
    beginnings = [word[:16].encode() for word in words]
    if path.suffix == ".avro":
        with path.open("rb") as file:
            text = b"".join(repr(record).encode() for record in reader(file))
    else:
        text = path.read_bytes()
    return any(beginning in text for beginning in beginnings)


def missing_days(world, wanted, user):
    """lake.py, but that it erases rows of the user's last day only."""
    last = max(line["paid_time"] for line in wanted["orders"] if line["openid"] == user)
    since = datetime.fromtimestamp(last - 43_200, timezone.utc).isoformat()
    text, program = (HERE / "lake.py").read_text(), world.directory / "missing_days.py"
    column = "TABLES[table.name()[-1]][1]"
    for right, wrong in (("import EqualTo", "import And, EqualTo, GreaterThanOrEqual"),
                         ("table.delete(of_user,", f"table.delete(And(of_user, GreaterThanOrEqual({column}, {since!r})),"),
                         ("Path(__file__).resolve().parents[2]", f"Path({str(ROOT)!r})")):
        assert right in text, "what is planted takes the place of something"
        text = text.replace(right, wrong)
    program.write_text(text)
    return program


def later_is_told(world, warehouse):
    """Whether the ingestion ends at a value of a later schema, whose new field the table lacks: whoever skips it, or leaves the field out, has
    lost it once the next offset is committed."""
    from events import TOPICS, put
    from framing import Schema

    later = json.loads((ROOT / "schemas" / "touch.avsc").read_text())
    later["fields"].append({"name": "added_later", "type": ["null", "string"], "default": None})
    path = world.directory / "later.avsc"
    path.write_text(json.dumps(later))
    before, touch = rows(warehouse), touch_of_now("oLATER") | {"added_later": "more"}
    put(world.bootstrap, TOPICS["touch"], f"{APPS[0]}/oStray", Schema(path).write(touch), touch["create_time"])
    child = ingest(world, warehouse, "later")
    code = ends_with(child)
    good = code == 1 and "a value of another schema" in child.text() and rows(warehouse) == before
    return tell(good, f"a value of a later schema: the ingestion ended with {code}, {child.tail()}", "a later schema is NOT told")


def ends_with(child):
    """Its exit code; nothing where it runs on."""
    try:
        return child.process.wait(30)
    except subprocess.TimeoutExpired:
        return None


def rewritten_goes_on(world, warehouse, wanted):
    """Whether the ingestion goes on though files were rewritten by a snapshot that tells nothing of the topic, and an erasure has then taken
    away all others."""
    from lake import TABLES, catalog, open_table

    for name in TABLES:
        table = open_table(catalog(warehouse), name)
        table.overwrite(table.scan().to_arrow())
    erase(warehouse, "oNOBODY")
    return goes_on(world, warehouse, wanted, "rewritten")


def emptied_goes_on(world, warehouse, wanted):
    """Whether the ingestion goes on where everything was deleted that it had read, as the retention of a quiet topic does it: up to the marker
    of the last transaction."""
    delete_records(world)
    return goes_on(world, warehouse, wanted, "emptied")


def goes_on(world, warehouse, wanted, name):
    """Whether one that is started now adds what comes then, and nothing else."""
    ingest(world, warehouse)
    wanted["touches"].append(publish_touch(world, f"o{name}"))
    good = wait_for_rows(world, warehouse, wanted, f"{name} does NOT go on")
    code = world.children["ingest"].terminate(60)
    return tell(good and code == 0, f"{name}: ingestion went on, and stopped with {code}", f"{name} does NOT go on")


def delete_records(world):
    """All there are."""
    import events
    from confluent_kafka import OFFSET_END, TopicPartition
    from confluent_kafka.admin import AdminClient

    places = [TopicPartition(topic, number, OFFSET_END) for topic in events.TOPICS.values() for number in range(PARTITIONS)]
    # Named, or it would be gone before it has its answer.
    admin = AdminClient({"bootstrap.servers": world.bootstrap})
    for done in admin.delete_records(places).values():
        done.result(30)


def deleted_is_told(world, warehouse):
    """Whether the ingestion ends where records were deleted before it has read them, as a short retention does it."""
    publish_touch(world, "oUSER")
    delete_records(world)
    child = ingest(world, warehouse, "behind")
    code = ends_with(child)
    good = code == 1 and "was deleted" in child.text()
    return tell(good, f"records deleted before they were read: the ingestion ended with {code}, {child.tail()}", "deleted records are NOT told")


def missing_is_told(world):
    """Whether a slip in the name of the topics or of the warehouse ends what was called, and nothing is made."""
    nowhere, program = world.directory / "nowhere", HERE / "lake.py"
    calls = [("there is no topic other.touches", ["ingest", "--bootstrap", world.bootstrap, "--prefix", "other"]),
             ("is no warehouse", ["query", "select 1"]), ("is no warehouse", ["erase", "--user", "oUSER"])]
    good = True
    for words, call in calls:
        answer = subprocess.run([sys.executable, program, *call, "--warehouse", nowhere], capture_output=True, text=True, timeout=60)
        told = answer.returncode == 1 and words in answer.stderr and not nowhere.exists()
        good &= tell(told, f"{call[0]}, not there: it ended with {answer.returncode}, {answer.stderr.strip()}", "what is not there is NOT told")
    return good


def anew_is_told(world, warehouse):
    """Whether the ingestion ends where a topic of the same name is another one: the offsets of the old one would pass over its first records, as
    soon as it has as many."""
    import events
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient, NewTopic

    world.children["connector"].kill9()
    topic, admin, deadline = events.TOPICS["touch"], AdminClient({"bootstrap.servers": world.bootstrap}), time.monotonic() + 60
    admin.delete_topics([topic])[topic].result(30)
    while True:
        try:
            admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
            break
        except KafkaException:  # The old one is there for a moment yet.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    child = ingest(world, warehouse, "anew")
    code = ends_with(child)
    good = code == 1 and "made anew" in child.text()
    return tell(good, f"a topic made anew: the ingestion ended with {code}, {child.tail()}", "a topic made anew is NOT told")


if __name__ == "__main__":
    environment = (TARGET / "lake-python", HERE / "requirements.txt")
    sys.exit(carry_out("lake", arguments, run, ["connector", "ingest"], ("each once, and the erased not at all", "NOT each once"), environment))
