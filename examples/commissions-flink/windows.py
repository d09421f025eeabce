"""What windows of time keep of the payments: sql/windows.sql, read along from the beginning, and the same without its time-out."""

import re
from collections import Counter
from datetime import UTC, datetime

from parts import tell

TIMEOUT = "'scan.watermark.idle-timeout' = "
# In a world that lasts minutes a partition is idle sooner; 0 is never.
VARIANTS = {"windows": "'5s'", "windows-without-timeout": "'0s'"}
# A line of a window: its beginning and its payments.
LINE = re.compile(r"^\| \+I \| (\S+ \S+) \|\s*(\d+) \|", re.MULTILINE)


def start(world, command, sql):
    text = (sql / "windows.sql").read_text()
    for name, timeout in VARIANTS.items():
        file = world.directory / f"{name}.sql"
        file.write_text(text.replace(TIMEOUT + "'30s'", TIMEOUT + timeout))
        world.start(name, *command, "--set", "table.local-time-zone=UTC", sql / "tables.sql", file)


def ended(world, name):
    """The payments of each window that has ended, by its beginning."""
    lines = LINE.findall(world.children[name].text())
    return {datetime.fromisoformat(begin).replace(tzinfo=UTC): int(payments) for begin, payments in lines}


def measure(world, lines):
    """Whether they lose payments, and without the time-out never end, since a partition is empty."""
    kept, without = ended(world, "windows"), ended(world, "windows-without-timeout")
    hours = Counter(datetime.fromtimestamp(line["paid_time"] // 3600 * 3600, UTC) for line in lines
                    if line["kind"] == "order" and line["status"] == "PAID")
    there = sum(payments for hour, payments in hours.items() if hour <= max(kept, default=datetime.min.replace(tzinfo=UTC)))
    good = 0 < sum(kept.values()) < there and not without
    return tell(good, f"windows of an hour that have ended: {len(kept)}, with {sum(kept.values())} "
                f"of their {there} payments; without the time-out {len(without)} have ended")
