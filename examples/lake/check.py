#!/usr/bin/env python3
"""The tables hold what the upstream has shown, each event once, whatever is killed; and an erased user is gone from the disk.

    python3 examples/lake/check.py                 # a minute and a half
    python3 examples/lake/check.py --plant double  # must fail: a batch that is appended twice

Starts a real Kafka, the simulated upstream with its faults, the connector and the ingestion; kills the ingestion again and again with
SIGKILL, and runs a second one beside it for a while. At the end the rows of each table, the distinct event ids, and the payments of each
Beijing day, asked of DuckDB, must be those of the upstream's truth. Then a user is erased while the ingestion runs: exactly those
rows are gone, from every file of the warehouse, and nothing is read again.

Needs Rust, Java 17 or later, Maven, and Python 3.11 or later; the Python packages are installed below target/. PROMOTER_BINARIES names
a directory, laid out as target/debug is, whose connector and broker are taken instead of building them.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests" / "soak"), str(HERE)]
from parts import TARGET, carry_out, configuration, promoter_id  # noqa: E402

BEIJING = timezone(timedelta(hours=8))
PROMOTERS = 20
BY_DAY = """select (paid_time at time zone 'Asia/Shanghai')::date as day, sum(paid_amount) from orders
            where status = 'PAID' group by day"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5, help="SIGKILLs of the ingestion")
    parser.add_argument("--plant", choices=["double"], help="a fault that has to be found: a table's last batch is appended again")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="of the world and of the kills")
    parser.add_argument("--release", action="store_true", help="the optimised connector")
    return parser.parse_args()


def run(options, world):
    world.begin(f"--seed={options.seed}", f"--promoters={PROMOTERS}", "--quiet-after=40s", "--spell=3s", "--late-max=5s",
                "--moving=5s", "--history=3d", "--touches-per-hour=20", "--orders-per-hour=5", "--refund-within=2d")
    names = ", ".join(f'"{promoter_id(number)}"' for number in range(1, PROMOTERS + 1))
    start = datetime.now(timezone.utc) - timedelta(days=4)
    config = configuration(world, "connector", 6, f"promoters = [{names}]", start_from=start.isoformat(timespec="seconds"))
    (world.directory / "connector.toml").write_text(config)
    world.connector("connector").wait_for(r"(log is open, polling begins)", 60)
    warehouse = world.directory / "warehouse"
    kill_again_and_again(options, world, warehouse)

    wanted = until_settled(world)
    good = wait_for_rows(world, warehouse, wanted)
    if options.plant == "double":
        append_again(warehouse)
    good &= tables_are(warehouse, wanted)
    good &= erased(world, warehouse, wanted)
    code = world.children["ingest"].terminate(60)
    print(f"ingestion stopped with {code}")
    return good and code == 0


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
    lines = [json.loads(line) for line in world.ask("_truth").splitlines()]
    return {"touches": [line for line in lines if line["kind"] == "touch"], "orders": [line for line in lines if line["kind"] == "order"]}


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


def tables_are(warehouse, wanted):
    days = Counter()
    for line in wanted["orders"]:
        if line["status"] == "PAID":
            days[datetime.fromtimestamp(line["paid_time"], BEIJING).date()] += line["paid_amount"]
    good = dict(ask(warehouse, BY_DAY)) == dict(days)
    print(f"{'✓' if good else '✗'} payments of {len(days)} days, {sum(days.values())} fen by the truth")
    for name, lines in wanted.items():
        [(count, ids)] = ask(warehouse, f"select count(*), count(distinct event_id) from {name}")
        print(f"{'✓' if count == ids == len(lines) else '✗'} {name}: {count} rows, {ids} event ids, {len(lines)} by the truth")
        good &= count == ids == len(lines) > 1000
    return good


def append_again(warehouse):
    from lake import catalog, open_table

    table = open_table(catalog(warehouse), "orders")
    table.append(table.scan(limit=10).to_arrow(), snapshot_properties={"kafka.offsets": table.current_snapshot().summary["kafka.offsets"]})


def erased(world, warehouse, wanted):
    """The user with the most rows."""
    import duckdb

    of_user = Counter(line["openid"] for lines in wanted.values() for line in lines)
    user, count = of_user.most_common(1)[0]
    # Files of a commit under way are left alone, so those of the last batch have to be older than one takes.
    time.sleep(11)
    subprocess.run([sys.executable, HERE / "lake.py", "erase", "--warehouse", warehouse, "--user", user], check=True)
    time.sleep(7)
    left = {name: sum(line["openid"] != user for line in lines) for name, lines in wanted.items()}
    files = [str(path) for path in warehouse.rglob("*.parquet")]
    on_disk = duckdb.sql("select count(*) from read_parquet($files, union_by_name = true) where openid = $user",
                         params={"files": files, "user": user}).fetchall()[0][0]
    good = rows(warehouse) == left and on_disk == 0
    print(f"{'✓' if good else '✗'} a user with {count} rows erased: {rows(warehouse)} rows left of {left}; {on_disk} on the disk")
    return good


if __name__ == "__main__":
    environment = (TARGET / "lake-python", HERE / "requirements.txt")
    sys.exit(carry_out("lake", arguments, run, ["connector", "ingest"], ("each once, and the erased not at all", "NOT each once"), environment))
