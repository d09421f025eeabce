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
ingestion goes on. Last, a value of a later schema comes, and records are deleted from the topic before they are read, each of which must end
the ingestion.

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
from parts import ROOT, TARGET, carry_out  # noqa: E402
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
    good &= erased(world, warehouse, wanted, options.plant == "days")
    code = world.children["ingest"].terminate(60)
    print(f"ingestion stopped with {code}")
    return good and code == 0 and later_is_told(world, warehouse) and deleted_is_told(world, warehouse)


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


def wait_for_rows(world, warehouse, wanted, limit=90):
    """Until there are as many rows as there have to be; then one more batch's time, for those that would be too many."""
    counts, deadline = {name: len(lines) for name, lines in wanted.items()}, time.monotonic() + limit
    while rows(warehouse) != counts and time.monotonic() < deadline:
        world.children["ingest"].must_run()
        time.sleep(1)
    time.sleep(7)
    print(f"shown {counts}; in the tables {rows(warehouse)}", flush=True)
    return rows(warehouse) == counts


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
    good = {day.isoformat(): fen for day, fen in ask(warehouse, BY_DAY)} == days
    print(f"{'✓' if good else '✗'} payments of {len(days)} days, {sum(days.values())} fen by the truth")
    for name, lines in wanted.items():
        [(count, ids)] = ask(warehouse, f"select count(*), count(distinct event_id) from {name}")
        print(f"{'✓' if count == ids == len(lines) else '✗'} {name}: {count} rows, {ids} event ids, {len(lines)} by the truth")
        good &= count == ids == len(lines) > 1000
        good &= columns_are(warehouse, name, lines)
        good &= values_are(world, warehouse, name)
        good &= days_are(warehouse, name, lines)
    return good


def columns_are(warehouse, name, lines):
    columns = COLUMNS[name]
    wanted = Counter(tuple(line.get(column.split()[-1]) for column in columns.split(", ")) for line in lines)
    found = Counter(ask(warehouse, f"select {columns} from {name}"))
    print(f"{'✓' if found == wanted else '✗'} {name}: {(found - wanted).total()} rows differ from the truth's")
    return found == wanted


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
    print(f"{'✓' if found == wanted else '✗'} {name}: {(found - wanted).total()} rows differ in one of {len(fields)} fields from the topic's")
    return found == wanted


def days_are(warehouse, name, lines):
    """Whether the table is partitioned by the day of the fact."""
    from lake import TABLES, catalog, open_table

    column = TABLES[name][1]
    wanted = {datetime.fromtimestamp(line[column], timezone.utc).date() for line in lines}
    partitions = open_table(catalog(warehouse), name).inspect.partitions().to_pylist()
    found = {each.get("partition", {}).get(f"{column}_day") for each in partitions}
    print(f"{'✓' if found == wanted else '✗'} {name}: partitions of {len(found)} days, {len(wanted)} by the truth")
    return found == wanted


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
    print(f"{'✓' if good else '✗'} days by the ledger")
    return good


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
    answers = [subprocess.run([sys.executable, program, "erase", "--warehouse", warehouse, "--user", each], capture_output=True, text=True)
               for each in (user, "oNOBODY")]
    print("".join(answer.stderr for answer in answers).strip())
    left = {name: [line for line in lines if line["openid"] != user] for name, lines in wanted.items()}
    # The ingestion has to go on from the erasure, of which it does not know: its own snapshot is gone, with its files.
    left["touches"].append(publish_touch(world, "oAFTERWARDS"))
    went_on = wait_for_rows(world, warehouse, left)
    told = all(f"{name}: {of[user]} rows erased" in answers[0].stderr for name, of in (("touches", touches), ("orders", orders)))
    told &= [answer.returncode for answer in answers] == [0, 1] and "nobody was erased" in answers[1].stderr
    days = {day_of(line["create_time"]) for line in wanted["touches"] if line["openid"] == user}
    of_user = [line for lines in wanted.values() for line in lines if line["openid"] == user]
    theirs = {line[column] for line in of_user for column in ("openid", "trade_no") if column in line}
    having = [path for path in warehouse.rglob("*") if path.is_file() and any_in(path, theirs)]
    old = [path for path in warehouse.rglob("snap-*.avro") if path.stat().st_mtime < began]
    good = went_on and told and not having and not old and len(days) == USER_DAYS
    print(f"{'✓' if good else '✗'} a user with {touches[user]} touches of {len(days)} days and {orders[user]} events of orders erased; of the user and "
          f"the orders {len(having)} files tell, as {[path.name for path in having[:2]]}; {len(old)} older snapshots are on the disk")
    return good


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
    text = (HERE / "lake.py").read_text().replace("table.delete(of_user,", f"""table.delete(f"openid = '{{user}}' and {{TABLES[name][1]}} >= '{since}'",""")
    program = world.directory / "missing_days.py"
    program.write_text(text.replace("Path(__file__).resolve().parents[2]", f"Path({str(ROOT)!r})"))
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
    print(f"{'✓' if good else '✗'} a value of a later schema: the ingestion ended with {code}, {child.tail()}")
    return good


def ends_with(child):
    """Its exit code; nothing where it runs on."""
    try:
        return child.process.wait(30)
    except subprocess.TimeoutExpired:
        return None


def deleted_is_told(world, warehouse):
    """Whether the ingestion ends where records were deleted before it has read them, as a short retention does it."""
    import events
    from confluent_kafka import OFFSET_END, TopicPartition
    from confluent_kafka.admin import AdminClient

    publish_touch(world, "oUSER")
    places = [TopicPartition(events.TOPICS["touch"], number, OFFSET_END) for number in range(PARTITIONS)]
    # Named, or it would be gone before it has its answer.
    admin = AdminClient({"bootstrap.servers": world.bootstrap})
    for done in admin.delete_records(places).values():
        done.result(30)
    child = ingest(world, warehouse, "behind")
    code = ends_with(child)
    good = code == 1 and "was deleted" in child.text()
    print(f"{'✓' if good else '✗'} records deleted before they were read: the ingestion ended with {code}, {child.tail()}")
    return good


if __name__ == "__main__":
    environment = (TARGET / "lake-python", HERE / "requirements.txt")
    sys.exit(carry_out("lake", arguments, run, ["connector", "ingest"], ("each once, and the erased not at all", "NOT each once"), environment))
