"""ClickHouse's engine within a process: makes the tables of a file, and prints again and again what is in `orders`."""

import sys
import time
from pathlib import Path

from chdb import session

directory, file = map(Path, sys.argv[1:])
# So embedded it starts no table of Kafka's that it finds. Made again, the table goes on where its group has come to, as a server's does.
for name in ("orders_in", "orders_queue"):
    for found in directory.glob(f"metadata/default/{name}.sql"):
        found.unlink()
clickhouse = session.Session(str(directory))
for statement in filter(str.strip, file.read_text().split(";")):
    try:
        clickhouse.query(statement)
    except Exception as error:
        # Nor does a server say so of a table that it has made.
        if "Shutdown was called" not in str(error):
            raise
while True:
    rows = clickhouse.query("SELECT count() FROM orders").data().strip()
    found = clickhouse.query(
        "SELECT count(), uniqExact(event_id), sumIf(paid_amount, status = 'PAID'), sum(toUnixTimestamp(paid_time)), count(refunded_time), "
        "ifNull(sum(toUnixTimestamp(refunded_time)), 0) FROM orders FINAL", "TabSeparated")
    print(f"{rows} rows,", *found.data().split(), flush=True)
    time.sleep(0.1)
