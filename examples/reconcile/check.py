#!/usr/bin/env python3
"""Planted differences between bills and topic are found, and nothing else.

    python3 examples/reconcile/check.py                 # under a minute
    python3 examples/reconcile/check.py --plant silent  # must fail, and so must unbilled: a difference of which the check does not know

Starts a real Kafka, the simulated upstream with its faults, and the connector. When all is published, the bills of yesterday are
made of what the upstream says it has shown, as WeChat Pay would write them, one of each merchant, with sales that no promoter has;
they must agree with the topic, where an order of an aborted transaction stands, too. Then one difference of each kind is planted, among them a
merchant without a bill and one whose bill has no lines, and reconcile.py must tell these and no other. It must refuse a bill that was cut, one
of another day, and a day of which the topic has nothing, and say that nothing can be said where there is no topic, no broker, or a value of
another frame. It must see payments that were published before their day had begun. The sample bill must be what `bill.write` makes, and be read without a broker.

Needs Rust, Java 17 or later, Maven, and Python 3.11 or later; the Python packages are installed below target/. PROMOTER_BINARIES names
a directory, laid out as target/debug is, whose connector and broker are taken instead of building them.
"""

import argparse
import io
import json
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests" / "soak"), str(HERE.parent / "checking"), str(HERE)]
from bill import write  # noqa: E402
from connector import start_connector  # noqa: E402
from parts import carry_out, tell  # noqa: E402
from truth import lines_of, orders_of  # noqa: E402

BEIJING = timezone(timedelta(hours=8))
TOPIC = "promoter.orders"
PROMOTERS, HISTORY_DAYS = 20, 3
SOLD_WITHOUT = "1600000001"
# Orders of one line.
TOLD_MAX = 10
# The sample, which the README's command reads: its day, merchant, payments, refunds, of which one order has two, and what was revoked.
SAMPLE = HERE / "bill-1600000001.csv"
SAMPLE_OF = ("2026-11-26", SOLD_WITHOUT, [("4200002611260001", 12_800), ("4200002611260002", 990), ("4200002611260003", 5_650)],
             [("4200002611260002", 990), ("4200002611260003", 1_000), ("4200002611260003", 2_000)], ["4200002611260004"])
SAMPLE_READ = f"{SOLD_WITHOUT}: 3 payments, 194.40; 2 orders refunded, 39.90\n"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plant", choices=["silent", "unbilled"], help="a fault that has to be found, of which the check does not "
                        "know: another amount (silent), or one more merchant whose bill is left out (unbilled)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="of the world, and of what is planted")
    parser.add_argument("--release", action="store_true", help="the optimised connector")
    return parser.parse_args()


def run(options, world):
    # Its packages are there only within the environment.
    import events

    flags = [f"--seed={options.seed}", f"--promoters={PROMOTERS}", "--quiet-after=5s", "--spell=3s", "--late-max=5s", "--moving=5s"]
    world.begin(*flags, f"--history={HISTORY_DAYS}d", "--refund-within=1d", "--touches-per-hour=1", "--orders-per-hour=4")
    publish(world)
    lines = lines_of(world.ask("_truth"))
    day = (datetime.now(BEIJING) - timedelta(days=1)).date()
    payments, refunds = of_day(lines, day)
    # No bill has it, and nobody may see it who reads what is committed.
    aborted = events.stray_order([line for line in orders_of(lines) if of(line["paid_time"]) == day], "event")
    events.publish(world.bootstrap, "order", aborted, commit=False)
    chance = random.Random(options.seed)
    for number in range(20):
        payments[SOLD_WITHOUT].append((f"sold-without-{number}", chance.randrange(1, 100_000)))
    sold = 20

    clean = reconcile(world, day, payments, refunds, "clean")
    right = not clean["differences"] and clean["paid_with_promoter"] > 100 and len(clean["paid_without_promoter"]) == sold
    good = tell(right, f"{day}: {clean['paid_with_promoter']} payments by promoters, {len(clean['paid_without_promoter'])} without; "
                f"{len(clean['differences'])} differences before any was made")
    wanted, alone, revoked = plant(world, chance, lines, day, payments, refunds)
    if options.plant == "silent":
        change_amount(chance, payments)
    elif options.plant == "unbilled":
        leave_out(next_merchant(payments, refunds), payments, refunds)
    found = reconcile(world, day, payments, refunds, "planted", revoked)
    told = Counter((row["kind"], row["trade_no"]) for row in found["differences"])
    print(f"differences made: {dict(Counter(kind for kind, _ in wanted))}")
    good &= tell(told == Counter(wanted), f"not told: {some(Counter(wanted) - told)}; told, and not made: {some(told - Counter(wanted))}")
    strange = sorted(alone ^ set(found["paid_without_promoter"]))
    good &= tell(not strange, f"without a promoter by one of the two only: {strange}")
    return good and all([wrong_bills_are_refused(world, day), unread_topics_are_told(world, day), ahead_is_read(world, day), sample_is_read()])


def some(pairs):
    """As many as anybody reads."""
    listed = sorted(pairs.elements())
    return f"{listed[:TOLD_MAX]}" + (f" and {len(listed) - TOLD_MAX} more" if len(listed) > TOLD_MAX else "")


def publish(world, limit=180):
    """Runs the connector until all that was shown is on the topic, and stops it."""
    connector = start_connector(world, PROMOTERS, 6, HISTORY_DAYS)
    deadline = time.monotonic() + limit
    while not world.settlement()["settled"]:
        connector.must_run()
        if time.monotonic() > deadline:
            raise SystemExit(f"not settled after {limit} s: {world.settlement()}")
        time.sleep(0.5)
    # What it has polled it commits before it stops.
    if connector.terminate(60) != 0:
        raise SystemExit(f"the connector did not stop in order\n{connector.tail()}")


def of_day(lines, day):
    """Payments and refunds of a Beijing day by merchant, as lists of transaction and fen."""
    payments, refunds = defaultdict(list), defaultdict(dict)
    for line in orders_of(lines):
        if line["status"] == "PAID" and of(line["paid_time"]) == day:
            payments[line["mch_id"]].append((line["trade_no"], line["paid_amount"]))
        # The upstream does not tell how much, nor always when: then the first sight is the day, for the topic as well.
        elif line["status"] == "REFUNDED" and of(line["refunded_time"] or line["first_shown"]) == day:
            refunds[line["mch_id"]][line["trade_no"]] = line["paid_amount"]
    return payments, {merchant: list(of_merchant.items()) for merchant, of_merchant in refunds.items()}


def of(seconds):
    return datetime.fromtimestamp(seconds, BEIJING).date()


def reconcile(world, day, payments, refunds, name, revoked=None):
    """What reconcile.py tells of these bills."""
    paths = []
    for merchant in sorted(payments.keys() | refunds.keys()):
        paths.append(world.directory / f"{name}-{merchant}.csv")
        text = write(day, merchant, payments.get(merchant, []), refunds.get(merchant, []), (revoked or {}).get(merchant, []))
        paths[-1].write_text(text, encoding="utf-8")
    answer = call(world, day, paths)
    if answer.returncode not in (0, 1):
        raise SystemExit(f"reconcile.py ended with {answer.returncode}: {answer.stderr}")
    told = json.loads(answer.stdout)
    assert answer.returncode == bool(told["differences"]), "its exit code tells whether something is wrong"
    return told


def call(world, day, paths, topic=TOPIC, bootstrap=None):
    command = [sys.executable, HERE / "reconcile.py", "--bootstrap", bootstrap or world.bootstrap, "--topic", topic, "--day", str(day), "--json", *paths]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def plant(world, chance, lines, day, payments, refunds):
    """One difference of each kind, each of an order of its own, but for merchants without lines, all of whose orders are: what has to be told,
    which payments then have no promoter, and what was revoked by merchant."""
    merchant = max(payments, key=lambda each: len(payments[each]) if each != SOLD_WITHOUT else 0)
    left_out, emptied = chance.sample(sorted(payments.keys() & refunds.keys() - {merchant, SOLD_WITHOUT}), 2)
    # Paid on the day, by the bill, and of a status that nobody knows.
    paid = {line["trade_no"] for line in orders_of(lines) if line["status"] == "PAID"}
    unknown = next(line for line in orders_of(lines) if line["status"] == "UNKNOWN" and of(line["paid_time"]) == day
                   and line["trade_no"] not in paid and line["mch_id"] not in (left_out, emptied))
    payments[unknown["mch_id"]].append((unknown["trade_no"], unknown["paid_amount"]))
    refunded = {line["trade_no"] for line in orders_of(lines) if line["status"] == "REFUNDED"}
    orders = [order for order in payments[merchant] if order[0] not in refunded | {unknown["trade_no"]}]
    lost, revoked, elsewhere, changed, given_back, untimed, twice = chance.sample(orders, 7)
    for order in (lost, revoked, elsewhere):
        payments[merchant].remove(order)
    # Orders of two merchants may have the same number.
    payments[SOLD_WITHOUT].append(elsewhere)
    payments[merchant][payments[merchant].index(changed)] = (changed[0], changed[1] + 1)
    refunds[merchant].append(given_back)
    same_day, earlier = (leave_out_refund(lines, refunds[merchant], day - timedelta(days=back)) for back in (0, 1))
    # Nothing is wrong with one in two parts.
    parted = next((trade, fen) for trade, fen in refunds[merchant] if trade != given_back[0] and fen > 1)
    refunds[merchant].remove(parted)
    refunds[merchant] += [(parted[0], parted[1] - 1), (parted[0], 1)]
    publish_for_another(world, twice[0])
    publish_untimed_refund(world, untimed[0])
    unbilled = leave_out(left_out, payments, refunds) | leave_out(emptied, payments, refunds)
    # Whether one of unknown status was paid only a bill could tell.
    unbilled |= {line["trade_no"] for line in orders_of(lines) if line["status"] == "UNKNOWN" and of(line["paid_time"]) == day
                 and line["mch_id"] in (left_out, emptied)}
    payments[emptied] = []
    told = {"unknown": [unknown["trade_no"]], "no_payment": [lost[0], revoked[0], elsewhere[0]], "amount": [changed[0]],
            "no_refund_event": [given_back[0]], "no_refund": [same_day, earlier, untimed[0]], "two_promoters": [twice[0]], "no_bill": unbilled}
    alone = {trade for trade, _ in payments[SOLD_WITHOUT] if trade.startswith("sold-without-")} | {elsewhere[0]}
    return [(kind, trade) for kind, trades in told.items() for trade in trades], alone, {merchant: [revoked[0]]}


def leave_out_refund(lines, refunds, paid_on):
    """The order of a refund that is no more in the bill, and whose payment is of that day."""
    trades = {line["trade_no"] for line in orders_of(lines) if line["status"] == "REFUNDED" and of(line["paid_time"]) == paid_on}
    refund = next(refund for refund in refunds if refund[0] in trades)
    refunds.remove(refund)
    return refund[0]


def leave_out(merchant, payments, refunds):
    """The orders of a merchant, who has no bill any more."""
    return {trade for part in (payments, refunds) for trade, _ in part.pop(merchant, [])}


def next_merchant(payments, refunds):
    return next(merchant for merchant in sorted(payments.keys() & refunds.keys()) if merchant != SOLD_WITHOUT and payments[merchant])


def change_amount(chance, payments):
    merchant = max(payments, key=lambda each: len(payments[each]))
    at = next(at for at, order in enumerate(payments[merchant]) if not order[0].startswith("sold-"))
    payments[merchant][at] = (payments[merchant][at][0], payments[merchant][at][1] + 100)


def publish_for_another(world, trade):
    """The payment once more, for a promoter who has no part in it, as the upstream shows an order under two."""
    event = event_of(world, trade)
    produce(world, TOPIC, event | {"promoter_openid": "oAnother", "event_id": "0" * 32}, event["paid_time"])


def publish_untimed_refund(world, trade):
    """A refund of which the upstream does not tell when it was: by its record, on the day of the payment."""
    event = event_of(world, trade)
    produce(world, TOPIC, event | {"status": "REFUNDED", "status_code": 2, "refunded_time": None, "event_id": "1" * 32}, event["paid_time"])


def event_of(world, trade):
    """The payment on the topic. The order may have been refunded since, and the refund may stand before the payment."""
    from reconcile import begin_of, read_topic

    day = (datetime.now(BEIJING) - timedelta(days=1)).date()
    return next(event for event, _ in read_topic(world.bootstrap, TOPIC, begin_of(day)) if (event["trade_no"], event["status"]) == (trade, "PAID"))


def produce(world, topic, event, recorded):
    """Writes an event whose record has that time."""
    from confluent_kafka import Producer
    from fastavro import parse_schema, schemaless_writer
    from reconcile import HEADER, ORDER

    body = io.BytesIO()
    schemaless_writer(body, parse_schema(ORDER), event)
    producer = Producer({"bootstrap.servers": world.bootstrap, "partitioner": "murmur2_random"})
    producer.produce(topic, key=f"{event['app_id']}/{event['promoter_openid']}", value=HEADER + body.getvalue(),
                     timestamp=int(recorded.timestamp() * 1000))
    if producer.flush(30):
        raise SystemExit(f"{topic} did not take {event} within 30 s")


def ahead_is_read(world, day):
    """Payments of the day's first seconds that were published before it began, by the clock of the connector's host: one as clocks differ, one
    by as much as the connector lets a fact be ahead. A record of the day stands behind them, alone in its partition, at which a reader begins
    who asks for the day's first record."""
    from confluent_kafka.admin import AdminClient, NewTopic
    from reconcile import begin_of

    topic, midnight, amount = "ahead.orders", begin_of(day), 100
    admin = AdminClient({"bootstrap.servers": world.bootstrap})
    for created in admin.create_topics([NewTopic(topic, 1, 1)]).values():
        created.result(30)
    event = {"app_id": "wx_simulated", "id_kind": "OPENID", "promoter_openid": "oAhead", "openid": "oUSER", "mch_id": SOLD_WITHOUT,
             "status": "PAID", "status_code": 1, "paid_amount": amount}
    seconds = {"2-ahead": (2, -3), "day-ahead": (5, 5 - 86_400), "after": (10, 11)}
    for trade, (paid, recorded) in seconds.items():
        paid, recorded = (midnight + timedelta(seconds=each) for each in (paid, recorded))
        produce(world, topic, event | {"event_id": trade, "trade_no": trade, "paid_time": paid, "observed_at": recorded}, recorded)
    good, ahead = True, ["2-ahead", "day-ahead"]
    for billed, missing in ((list(seconds), []), (["after"], ahead)):
        path = world.directory / "ahead.csv"
        path.write_text(write(day, SOLD_WITHOUT, [(trade, amount) for trade in billed], []), encoding="utf-8")
        answer = call(world, day, [path], topic)
        told = json.loads(answer.stdout or "{}")
        right = told.get("paid_without_promoter") == [] and told["paid_with_promoter"] == len(seconds)
        right = right and [(row["kind"], row["trade_no"]) for row in told["differences"]] == [("no_payment", trade) for trade in missing]
        good &= tell(right, f"{ahead} published before their day began, {billed} in the bill: {answer.stdout.strip()} {answer.stderr.strip()}")
    return good


def wrong_bills_are_refused(world, day):
    """Those of which nothing can be said: each must end with 2, and by its own words; all bills empty, with 1."""
    path = next(world.directory.glob(f"clean-{SOLD_WITHOUT}.csv"))
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    sold, before = [("sold-without-0", 100)], day - timedelta(days=30)
    small = write(day, SOLD_WITHOUT, sold, [("sold-without-0", 50)])
    cases = {
        "with another amount of a payment": (day, small.replace("`0.60%,`1.00,`0.00,", "`0.60%,`2.00,`0.00,"), 2, "订单总金额 is 100"),
        "with another amount of a refund": (day, small.replace("`0.60%,`0.00,`0.50,", "`0.60%,`0.00,`0.40,"), 2, "申请退款总金额 is 50"),
        "cut": (day, "".join(lines[:1] + lines[2:]), 2, "was the download cut"),
        "of the day before": (day, write(day - timedelta(days=1), SOLD_WITHOUT, sold, []), 2, "and the day is"),
        "with a refund of the next day": (day - timedelta(days=1), write(day, SOLD_WITHOUT, [], sold), 2, "and the day is"),
        "of a day that the topic does not have": (before, write(before, SOLD_WITHOUT, sold, []), 2, "no order of"),
        "with an amount that is none": (day, small.replace("`0.60%,`1.00,", "`0.60%,`Infinity,"), 2, "'Infinity' is no amount"),
        "with a number of lines that is none": (day, small.replace("\r\n`2,", "\r\n`two,"), 2, "'two', which is no number"),
        # The other merchants' orders have no bill then.
        "with a name that has what looks like ends of lines": (day, small.replace("茶叶,", "茶叶\u2028\u0085\v\r,"), 1, "no_bill"),
        "without lines": (day, write(day, SOLD_WITHOUT, [], []), 1, "no_bill"),
    }
    good = True
    for name, (of_day, text, code, words) in cases.items():
        wrong = world.directory / "wrong.csv"
        wrong.write_text(text, encoding="utf-8")
        answer = call(world, of_day, [wrong])
        told = answer.returncode == code and words in answer.stdout + answer.stderr
        good &= tell(told, f"a bill {name}: {answer.returncode} {answer.stderr.strip()}")
    return good


def unread_topics_are_told(world, day):
    """Whether what can't be compared ends with 2, and in one line of its own: 1 would say that something is wrong with the orders."""
    from confluent_kafka.admin import AdminClient, NewTopic
    from events import put

    path, strange = next(world.directory.glob(f"clean-{SOLD_WITHOUT}.csv")), "strange.orders"
    admin = AdminClient({"bootstrap.servers": world.bootstrap})
    admin.create_topics([NewTopic(strange, 1, 1)])[strange].result(30)
    put(world.bootstrap, strange, "key", b"\0\0\0\0\1", int(time.time() * 1000))
    cases = {"of another frame": (strange, world.bootstrap, "schema or frame"), "that is not there": ("no.orders", world.bootstrap, "no such topic"),
             "of brokers that are away": (TOPIC, "127.0.0.1:1", "127.0.0.1:1")}
    good = True
    for name, (topic, bootstrap, words) in cases.items():
        answer = call(world, day, [path], topic, bootstrap)
        # What the client says by itself begins with a percent sign.
        lines = [line for line in answer.stderr.splitlines() if not line.startswith("%")]
        right = answer.returncode == 2 and len(lines) == 1 and words in lines[0] and not answer.stdout
        good &= tell(right, f"a topic {name}: {answer.returncode} {' | '.join(lines)}")
    return good


def sample_is_read():
    """By the README's command, without a broker; and it is what `bill.write` makes."""
    answer = subprocess.run([sys.executable, "-I", HERE / "bill.py", "--day", SAMPLE_OF[0], SAMPLE], capture_output=True, text=True, timeout=30)
    good = SAMPLE.read_bytes().decode() == write(*SAMPLE_OF) and (answer.returncode, answer.stdout) == (0, SAMPLE_READ)
    return tell(good, f"the sample bill: {answer.stdout.strip()} {answer.stderr.strip()}")


if __name__ == "__main__":
    sys.exit(carry_out("reconcile", arguments, run, ["connector"], ("found, and nothing else", "NOT as planted")))
