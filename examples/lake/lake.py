#!/usr/bin/env python3
"""Touches and orders as Iceberg tables, exactly once; read by DuckDB; and one user's rows erased.

    python3 -m venv env && env/bin/pip install -r requirements.txt
    env/bin/python lake.py ingest --bootstrap localhost:9092 --warehouse lake      # until it is stopped
    env/bin/python lake.py query --warehouse lake "select status, count(*), sum(paid_amount) from orders group by 1"
    env/bin/python lake.py erase --warehouse lake --user oUSER

The warehouse is a directory with a catalog in SQLite; with another catalog of pyiceberg, change `catalog()`.

How a restart neither loses nor doubles: the offsets up to which a table has read stand in the snapshot that the rows of that
batch have made, so they are committed with them or not at all. Whoever starts reads on from there, and Kafka's own offsets count
for nothing. A commit is never tried again on top of another one (`commit.retry.num-retries` is 0): the other may have been of a second
process of this kind, whose rows these would double. It is planned anew from the offsets of the table as it is then.

Where the topic does not reach back to a table's offset any more, rows are missing that nobody can bring: that ends the ingestion, unless
--skip-deleted is given. By its own default the client would go on at the end of the topic, without a word. What lies behind the last record
are markers of transactions only: at the end of a partition the table's offset goes behind them, so that nobody misses them.
"""

import argparse
import io
import json
import signal
import sys
import time
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from fastavro import parse_schema, schemaless_reader
from fastavro.schema import fingerprint, load_schema, to_parsing_canonical_form
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.expressions import EqualTo
from pyiceberg.transforms import DayTransform

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
NAMESPACE, OFFSETS, TOPIC_ID = "promoter", "kafka.offsets", "kafka.topic.id"
# Of each file's columns counts only. By default the metadata have the first 16 characters of each column's least and greatest value, and so of
# users' ids and order numbers, which stay when the rows are gone: a manifest tells which files were deleted, with all that it knew of them.
PROPERTIES = {"commit.retry.num-retries": "0", "write.metadata.metrics.default": "counts"}
# Each commit makes files in the partitions of its days: rarer ones make fewer and larger files.
BATCH_SECONDS = 5
TABLES = {"touches": ("touch", "create_time"), "orders": ("order", "paid_time")}
# How often an erasure begins again on what others have committed meanwhile.
TRIES_MAX = 20


def catalog(warehouse, make=False):
    """Only the ingestion makes one: a slip in its name must not be answered as if nothing were there."""
    file = warehouse / "catalog.db"
    if make:
        warehouse.mkdir(parents=True, exist_ok=True)
    elif not file.is_file():
        raise SystemExit(f"{warehouse} is no warehouse: there is no {file}, which `ingest` makes")
    return SqlCatalog("lake", uri=f"sqlite:///{warehouse.resolve()}/catalog.db", warehouse=f"file://{warehouse.resolve()}")


def arrow_schema(avro):
    """The columns of a table are the fields of the schema. Times are UTC."""
    def field(of):
        types = of["type"] if isinstance(of["type"], list) else [of["type"]]
        kinds = [kind for kind in types if kind != "null"]
        kind = kinds[0]["logicalType"] if isinstance(kinds[0], dict) else kinds[0]
        arrow = {"string": pa.string(), "long": pa.int64(), "int": pa.int32(), "timestamp-millis": pa.timestamp("us", "UTC")}[kind]
        return pa.field(of["name"], arrow, nullable="null" in types)

    return pa.schema([field(of) for of in avro["fields"]])


def open_table(lake, name):
    try:
        return lake.load_table(f"{NAMESPACE}.{name}")
    except NoSuchTableError:
        raise SystemExit(f"the warehouse has no table {name}, which `ingest` makes") from None


def make_table(lake, name):
    """The table, made where it is missing: one commit makes it with its partitions, or another process was first."""
    schema_name, time_column = TABLES[name]
    identifier = f"{NAMESPACE}.{name}"
    if lake.table_exists(identifier):
        return open_table(lake, name)
    lake.create_namespace_if_not_exists(NAMESPACE)
    schema = arrow_schema(json.loads((SCHEMAS / f"{schema_name}.avsc").read_text()))
    try:
        with lake.create_table_transaction(identifier, schema, properties=PROPERTIES) as creation:
            with creation.update_spec() as partitions:
                partitions.add_field(time_column, DayTransform(), f"{time_column}_day")
    except (TableAlreadyExistsError, CommitFailedException):
        pass
    return open_table(lake, name)


def offsets_of(table):
    """By partition the offset from which the table goes on."""
    if table.current_snapshot() is None:
        return {}
    place = place_of(table)
    if not place:
        raise SystemExit(f"no snapshot of {table.name()[-1]} has {OFFSETS} any more: roll back to one that had, or read into a new warehouse")
    return {int(partition): offset for partition, offset in json.loads(place[OFFSETS]).items()}


def place_of(table):
    """What the current snapshot says of the topic, and its successor has to say, too. Every one of ours says it, those of erasures too. Whoever
    rewrites files adds none of the topic's rows, so the one before such a snapshot speaks for it."""
    snapshot = table.current_snapshot()
    while snapshot and snapshot.summary.get(OFFSETS) is None:
        snapshot = table.snapshot_by_id(snapshot.parent_snapshot_id) if snapshot.parent_snapshot_id else None
    return {key: snapshot.summary[key] for key in (OFFSETS, TOPIC_ID) if snapshot.summary.get(key) is not None} if snapshot else {}


class Ingest:
    """A topic, read into its table."""

    def __init__(self, options, name):
        self.topic, self.name, self.batch_records_max = f"{options.prefix}.{name}", name, options.batch_records
        avro = load_schema(SCHEMAS / f"{TABLES[name][0]}.avsc")
        self.header = b"\xc3\x01" + bytes.fromhex(fingerprint(to_parsing_canonical_form(avro), "CRC-64-AVRO"))
        self.avro, self.arrow = parse_schema(avro), arrow_schema(avro)
        self.consumer = Consumer({"bootstrap.servers": options.bootstrap, "group.id": "unused", "enable.auto.commit": False,
                                  "isolation.level": "read_committed", "enable.partition.eof": True,
                                  "auto.offset.reset": "earliest" if options.skip_deleted else "error"})
        # As they are now: those that are added later are read after the next start.
        self.partitions = self.consumer.list_topics(self.topic, timeout=10).topics[self.topic].partitions
        if not self.partitions:
            raise SystemExit(f"there is no topic {self.topic}: start the connector first, which makes it; --prefix has to be its topics.prefix")
        # At the level of its own it may say at its end what nobody has to do anything about.
        admin = AdminClient({"bootstrap.servers": options.bootstrap, "log_level": 5})
        # Brokers before 2.8 give all topics the same one.
        self.topic_id = str(admin.describe_topics(TopicCollection([self.topic]))[self.topic].result(10).topic_id)

    def begin(self, lake):
        self.lake = lake
        table = make_table(lake, self.name)
        if table.current_snapshot() and place_of(table).get(TOPIC_ID, self.topic_id) != self.topic_id:
            raise SystemExit(f"{self.topic} was deleted and made anew since: the table's offsets are not its; read it into a new warehouse")
        self.read_on()

    def read_on(self):
        """From where the table says. What was read and not committed is read again."""
        self.table = open_table(self.lake, self.name)
        self.offsets, self.rows, self.began = offsets_of(self.table), [], time.monotonic()
        self.committed = dict(self.offsets)
        self.consumer.assign([TopicPartition(self.topic, number, self.offsets.get(number, OFFSET_BEGINNING)) for number in self.partitions])

    def turn(self):
        """Reads for a moment, and commits what has come together."""
        for message in self.consumer.consume(min(5_000, self.batch_records_max - len(self.rows)), 0.2):
            if message.error() is None:
                self.rows.append(self.decode(message.value()))
                self.offsets[message.partition()] = message.offset() + 1
            elif message.error().code() == KafkaError._AUTO_OFFSET_RESET:
                raise SystemExit(f"{self.topic}: what comes next was deleted before it was read; see --skip-deleted ({message.error()})")
            elif message.error().code() == KafkaError._PARTITION_EOF:
                # Behind the last record stand markers of transactions. Once a retention has deleted all of them, a table that stood before one
                # would look as if something had been deleted unread.
                self.offsets[message.partition()] = message.offset()
            else:
                raise SystemExit(f"{self.topic}: {message.error()}")
        if len(self.rows) >= self.batch_records_max or time.monotonic() - self.began > BATCH_SECONDS:
            self.commit()

    def decode(self, value):
        """An Avro single object of the schema that the table was made of. A later one has fields that the table lacks; where the connector
        has a schema registry, put confluent-kafka's AvroDeserializer here."""
        if not value.startswith(self.header):
            raise SystemExit(f"{self.topic}: a value of another schema or frame: {value[:10].hex()}")
        return schemaless_reader(io.BytesIO(value[len(self.header) :]), self.avro, None)

    def commit(self):
        self.began = time.monotonic()
        if self.offsets == self.committed:
            return
        rows = pa.Table.from_pylist(self.rows, schema=self.arrow)
        try:
            self.table.append(rows, snapshot_properties={OFFSETS: json.dumps(self.offsets), TOPIC_ID: self.topic_id})
        except (CommitFailedException, FileNotFoundError):
            # An erasure has removed the metadata that this commit would have been made on.
            if open_table(self.lake, self.name).metadata_location == self.table.metadata_location:
                raise
            print(f"{self.name}: another commit came first; reading on from it", file=sys.stderr, flush=True)
            self.read_on()
            return
        if self.rows:
            print(f"{self.name}: {len(self.rows)} rows", file=sys.stderr, flush=True)
        self.rows, self.committed = [], dict(self.offsets)


def ingest(options):
    tables = [Ingest(options, name) for name in TABLES]
    # Where a topic is missing nothing is made.
    lake = catalog(options.warehouse, make=True)
    for table in tables:
        table.begin(lake)
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    signal.signal(signal.SIGINT, lambda *_: stopping.append(True))
    while not stopping:
        for table in tables:
            table.turn()
    for table in tables:
        table.commit()


def query(options):
    """DuckDB over the tables as they are now."""
    import duckdb

    lake, database = catalog(options.warehouse), duckdb.connect()
    for name in TABLES:
        database.register(name, open_table(lake, name).scan().to_arrow())
    database.sql(options.sql).show(max_rows=100)


def erase(options):
    """Deletes the rows of a user, the snapshots that still have them, and the files that nobody refers to any more. Where no row was the
    user's, nor any in such a file, it ends with 1: a slip in the id, or another pseudonym, must not look as if somebody had been erased."""
    lake, user = catalog(options.warehouse), options.user
    erased = {name: erase_from(lake, name, user) for name in TABLES}
    removed = remove_unused(lake, user)
    for name in TABLES:
        files, of_user = removed[name]
        print(f"{name}: {erased[name]} rows erased; {files} files removed, {of_user} of them with rows of the user", file=sys.stderr, flush=True)
    if any(erased.values()):
        return 0
    if any(of_user for _, of_user in removed.values()):
        print(f"no row is of {user} any more: what was removed had been left by an erasure that was cut off", file=sys.stderr, flush=True)
        return 0
    print(f"no row is of {user}: nobody was erased", file=sys.stderr, flush=True)
    return 1


def again(lake, name, work):
    """What `work` makes of the table. Where another commit comes first, as of the ingestion or of a second erasure, which takes away snapshots
    and files that this one has yet to read, it begins again with the table as it is then."""
    for _ in range(TRIES_MAX):
        table = open_table(lake, name)
        try:
            return work(table)
        # The last is said of a snapshot that is gone.
        except (CommitFailedException, FileNotFoundError, ValueError):
            if open_table(lake, name).metadata_location == table.metadata_location:
                raise
            print(f"{name}: another commit came first; once more", file=sys.stderr, flush=True)
    raise SystemExit(f"{name}: another commit came first {TRIES_MAX} times; call this again, if need be while the ingestion is stopped")


def erase_from(lake, name, user):
    """How many rows were deleted, and with them what had them before."""
    rows = again(lake, name, lambda table: delete_rows(table, EqualTo("openid", user)))
    again(lake, name, expire_older)
    return rows


def delete_rows(table, of_user):
    """How many there were."""
    rows = table.scan(row_filter=of_user).count()
    if rows:
        # The rows of days that are rewritten stay; so do the offsets, or the next start would read everything again.
        table.delete(of_user, snapshot_properties=place_of(table))
    return rows


def expire_older(table):
    """All snapshots but the last, which gets what only one of the others may have of the topic."""
    place = place_of(table)
    if place and table.current_snapshot().summary.get(OFFSETS) is None:
        table.append(table.scan(limit=0).to_arrow(), snapshot_properties=place)
    older = [snapshot.snapshot_id for snapshot in table.snapshots() if snapshot.snapshot_id != table.metadata.current_snapshot_id]
    if older:
        table.maintenance.expire_snapshots().by_ids(older).commit()


def remove_unused(lake, user):
    """By table how many files of data and of metadata were removed, to which it does not refer any more, and how many of them had rows of the
    user. One that is younger than any commit under way takes may belong to such a commit: it is waited for until it does, or is old enough."""
    unused = {name: again(lake, name, unused_files) for name in TABLES}
    youngest = max(map(modified, chain(*unused.values())), default=0)
    time.sleep(max(0, youngest + 2 * BATCH_SECONDS - time.time()))
    stale = {name: unused[name] & again(lake, name, unused_files) for name in TABLES}
    of_user = {name: {path for path in files if has_rows_of(path, user)} for name, files in stale.items()}
    # Those of the user last, of both tables: whoever is killed before leaves some, by which the next call knows what it ends.
    for path in chain(*(stale[name] - of_user[name] for name in TABLES), *of_user.values()):
        path.unlink(missing_ok=True)
    return {name: (len(stale[name]), len(of_user[name])) for name in TABLES}


def modified(path):
    """When; at no time where a second erasure has removed it."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0


def has_rows_of(path, user):
    """Whether a file of data has some: one that is gone, or that a killed process never ended, has none to be read."""
    if path.suffix != ".parquet":
        return False
    try:
        return parquet.read_table(path, columns=["openid"], filters=[("openid", "==", user)], partitioning=None).num_rows > 0
    except (FileNotFoundError, pa.ArrowInvalid):
        return False


def unused_files(table):
    used = {table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    for snapshot in table.snapshots():
        used |= {snapshot.manifest_list, *(manifest.manifest_path for manifest in snapshot.manifests(table.io))}
    used |= set(table.inspect.all_files()["file_path"].to_pylist())
    used = {path.removeprefix("file://") for path in used}
    files = Path(table.location().removeprefix("file://")).rglob("*")
    return {path for path in files if path.is_file() and str(path) not in used}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    of = {}
    for command, run, words in (("ingest", ingest, "read the topics into the tables, until SIGTERM"),
                                ("query", query, "ask DuckDB; the tables are touches and orders"),
                                ("erase", erase, "delete a user's rows, and the files that had them")):
        of[command] = commands.add_parser(command, help=words, description=words)
        of[command].add_argument("--warehouse", type=Path, required=True, help="a directory")
        of[command].set_defaults(run=run)
    of["ingest"].add_argument("--bootstrap", required=True, help="HOST:PORT of a broker")
    of["ingest"].add_argument("--prefix", default="promoter", help="of the topics")
    of["ingest"].add_argument("--batch-records", type=int, default=50_000, help="rows of one commit at most")
    of["ingest"].add_argument("--skip-deleted", action="store_true", help="go on where records were deleted before they were read")
    of["query"].add_argument("sql")
    of["erase"].add_argument("--user", required=True, help="the openid, as the topics have it: a pseudonym where they have those")
    options = parser.parse_args()
    return options.run(options)


if __name__ == "__main__":
    sys.exit(main())
