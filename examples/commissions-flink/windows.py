"""What windows of time keep of the payments that are all on the topic: sql/windows.sql with other watermarks, and without its time-out."""

import re
import time

DELAYS = ("INTERVAL '0' SECOND", "INTERVAL '7' HOUR", "INTERVAL '1' DAY", "INTERVAL '3' DAY")
BOUNDED = "'scan.bounded.mode' = 'latest-offset', "
TIMEOUT = "'scan.watermark.idle-timeout' = "
# A line that print() makes of a window: its operation, its beginning, its payments.
LINE = re.compile(r"^\| \+I \| \S+ \S+ \|\s*(\d+) \|", re.MULTILINE)
# Of a run that need not end by itself.
SECONDS_MAX = 60


def measure(world, command, text, tables, payments):
    """Prints what each keeps. Whether a longer delay keeps no less, none keeps all, and an empty partition holds up all windows."""
    kept = []
    for number, delay in enumerate(DELAYS):
        variant = text.replace("INTERVAL '7' HOUR", delay).replace(TIMEOUT, BOUNDED + TIMEOUT)
        kept.append(sum(run(world, command, variant, tables, f"windows-{number}")))
        print(f"  a watermark behind by {delay}: windows of an hour keep {kept[-1]} of {payments} payments, {100 * kept[-1] / payments:.1f} %", flush=True)
    ended = [len(run(world, command, variant, tables, f"windows-{name}", first=True)) for name, variant in
             (("timeout", text.replace(TIMEOUT + "'30s'", TIMEOUT + "'5s'")), ("none", text.replace(TIMEOUT + "'30s'", TIMEOUT + "'0s'")))]
    print(f"  of an endless topic with an empty partition, within {SECONDS_MAX} s: windows with the time-out {ended[0]}, without it {ended[1]}")
    return kept == sorted(kept) and kept[1] < payments and ended[0] > 0 and ended[1] == 0


def run(world, command, text, tables, name, first=False):
    """The payments of each window that was printed until the run ended, or had printed its first ones."""
    file = world.directory / f"{name}.sql"
    file.write_text(text)
    child = world.start(name, *command, tables, file)
    deadline = time.monotonic() + SECONDS_MAX
    while child.process.poll() is None and time.monotonic() < deadline and not (first and LINE.search(child.text())):
        time.sleep(0.5)
    if first:
        child.kill9()
    elif child.process.poll() != 0:
        raise SystemExit(f"{name} did not end within {SECONDS_MAX} s, or badly: {child.process.poll()}\n{child.tail()}")
    del world.children[name]
    return [int(number) for number in LINE.findall(child.text())]
