"""What commissions have to be, by the upstream's own word."""

import json
from collections import Counter
from datetime import datetime, timedelta, timezone

BEIJING = timezone(timedelta(hours=8))


def day_of(seconds):
    return datetime.fromtimestamp(seconds, BEIJING).date().isoformat()


def lines_of(text):
    """The upstream's truth."""
    return [json.loads(line) for line in text.splitlines()]


def orders_of(lines):
    """Those that are orders: each a payment, a refund, or of unknown status."""
    return [line for line in lines if line["kind"] == "order"]


def expected(lines, basis_points):
    """Fen by promoter and day, and how many refunds came on a later day than their payment."""
    paid, refunded, late = {}, set(), 0
    for line in orders_of(lines):
        promoter = f"{line['app_id']}/{line['promoter_openid']}"
        order, day = (promoter, line["mch_id"], line["trade_no"]), day_of(line["paid_time"])
        if line["status"] == "PAID":
            paid[order] = (f"{promoter}/{day}", line["paid_amount"] * basis_points // 10_000)
        elif line["status"] == "REFUNDED":
            refunded.add(order)
            late += line["refunded_time"] is not None and day_of(line["refunded_time"]) > day
    days = Counter()
    for order, (key, fen) in paid.items():
        days[key] += 0 if order in refunded else fen
    return days, late


def differences_of(wrong):
    """Their number, and so many of them as anybody reads."""
    return "\n  ".join([f"differences: {len(wrong)}", *wrong[:10]]) if wrong else ""


def differences(where, truth, found):
    """A day that nobody speaks of earns nothing."""
    keys = sorted(key for key in truth.keys() | found.keys() if truth.get(key, 0) != found.get(key, 0))
    return [f"{where}: {key} is {found.get(key, 0)} fen and has to be {truth.get(key, 0)}" for key in keys]
