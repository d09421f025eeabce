#!/usr/bin/env python3
"""A merchant's bill of one day as WeChat Pay's bill interface gives it (`tradebill`, type ALL), read and written.

    python3 bill.py --day 2026-11-26 bill-1600000001.csv    # what reconcile.py reads of it; needs neither packages nor a broker

One line of names; a line for each payment and each refund, every field with a backtick before it; one line of names and one of sums.
Nothing is quoted, and a product's name may have commas: so a line is cut at a comma that a backtick follows, and nowhere else.
"""

import argparse
import re
import sys
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path

NAMES = ("交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,"
         "微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注").split(",")
SUM_NAMES = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额".split(",")
# What Decimal takes beyond that, as Infinity, is no amount.
YUAN = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")
PAYMENT, REFUND, REVOKED = "SUCCESS", "REFUND", "REVOKED"


class BillError(Exception):
    """The bill can't be trusted: in which line, and why."""


@dataclass
class Bill:
    """Payments (fen) and refunds by merchant and transaction, and who the merchants are."""

    payments: dict = field(default_factory=dict)
    refunds: dict = field(default_factory=dict)
    merchants: set = field(default_factory=set)

    def add(self, other):
        self.payments |= other.payments
        for order, fen in other.refunds.items():
            self.refunds[order] = self.refunds.get(order, 0) + fen
        self.merchants |= other.merchants


def fen(text, line):
    """Yuan with decimals to fen; less than a fen, as fees have, is no amount of an order."""
    amount = Decimal(text) * 100 if YUAN.fullmatch(text) else None
    if amount is not None and amount == int(amount):
        return int(amount)
    raise BillError(f"line {line}: {text!r} is no amount in yuan")


def fields(text):
    return text.removeprefix("`").split(",`")


def read(text, day):
    """A bill whose sums are those of its lines, of that day: one that was cut is refused, and one of another day."""
    # Not splitlines(): a product's name may have what Python takes for the end of a line besides, as U+2028.
    lines = re.split(r"\r?\n", text.removeprefix("\ufeff").rstrip("\r\n"))
    names = lines[0].split(",")
    missing = [name for name in ("交易时间", "商户号", "微信订单号", "交易状态", "订单金额", "申请退款金额") if name not in names]
    if missing:
        raise BillError(f"line 1: no column {', '.join(missing)}; a bill of type ALL has it")
    ends = [at for at, line in enumerate(lines) if line.startswith(SUM_NAMES[0])]
    if len(ends) != 1 or len(lines) < ends[0] + 2:
        raise BillError("the sums at the end are missing: was the download cut?")
    bill = Bill()
    for number, line in enumerate(lines[1 : ends[0]], 2):
        take(bill, names, fields(line), number, day)
    compare_sums(bill, dict(zip(lines[ends[0]].split(","), fields(lines[ends[0] + 1]))), ends[0] - 1, ends[0] + 2)
    return bill


def take(bill, names, values, line, day):
    if len(values) != len(names):
        raise BillError(f"line {line}: {len(values)} fields, and {len(names)} names")
    row = dict(zip(names, values))
    order = (row["商户号"], row["微信订单号"])
    bill.merchants.add(row["商户号"])
    must_be_of(day, row, line)
    if row["交易状态"] == PAYMENT:
        bill.payments[order] = fen(row["订单金额"], line)
    elif row["交易状态"] == REFUND:
        bill.refunds[order] = bill.refunds.get(order, 0) + fen(row["申请退款金额"], line)
    # What is REVOKED is a payment that was taken back at the till: no promoter has part in it.


def must_be_of(day, row, line):
    """A payment's time is of the bill's day. Whether that of a refund is its own or the payment's is not known here: it can't be later."""
    try:
        found = datetime.strptime(row["交易时间"], "%Y-%m-%d %H:%M:%S").date()
    except ValueError:
        raise BillError(f"line {line}: {row['交易时间']!r} is no time") from None
    if found > day or (found < day and row["交易状态"] != REFUND):
        raise BillError(f"line {line}: of {found}, and the day is {day}")


def compare_sums(bill, sums, rows, line):
    found = {"总交易单数": rows, "订单总金额": sum(bill.payments.values()), "申请退款总金额": sum(bill.refunds.values())}
    count = sums.get("总交易单数", "")
    if not re.fullmatch("[0-9]{1,15}", count):
        raise BillError(f"line {line}: 总交易单数 is {count!r}, which is no number")
    told = {"总交易单数": int(count)} | {name: fen(sums.get(name, ""), line) for name in list(found)[1:]}
    for name, value in found.items():
        if told[name] != value:
            raise BillError(f"line {line}: {name} is {told[name]}, and the lines come to {value}: was the download cut?")


def yuan(amount):
    return f"{amount // 100}.{amount % 100:02}"


def write(day, merchant, payments, refunds, revoked=()):
    """A sample of a bill: `payments` and `refunds` are transactions with fen, `revoked` transactions. What we do not look at is made up."""
    rows = [row(day, merchant, trade, PAYMENT, amount, 0) for trade, amount in payments]
    rows += [row(day, merchant, trade, REFUND, 0, amount) for trade, amount in refunds]
    rows += [row(day, merchant, trade, REVOKED, 0, 0) for trade in revoked]
    paid, refunded = (sum(amount for _, amount in part) for part in (payments, refunds))
    sums = [str(len(rows)), yuan(paid), yuan(refunded), "0.00", "0.00000", yuan(paid), yuan(refunded)]
    lines = [",".join(NAMES), *rows, ",".join(SUM_NAMES), ",".join(f"`{value}" for value in sums)]
    return "\ufeff" + "".join(f"{line}\r\n" for line in lines)


def row(day, merchant, trade, state, paid, refunded):
    known = {"交易时间": f"{day} 12:00:00", "公众账号ID": "wx_simulated", "商户号": merchant, "特约商户号": "0", "微信订单号": trade,
             "商户订单号": f"shop-{trade}", "用户标识": "oUSER", "交易类型": "JSAPI", "交易状态": state, "付款银行": "OTHERS",
             "货币种类": "CNY", "应结订单金额": yuan(paid), "订单金额": yuan(paid), "申请退款金额": yuan(refunded), "代金券金额": "0.00",
             "退款金额": yuan(refunded), "商品名称": "茶叶,两包", "费率": "0.60%", "手续费": "0.00000"}
    return ",".join(f"`{known.get(name, '')}" for name in NAMES)


def day_of_beijing(text):
    return datetime.strptime(text, "%Y-%m-%d").date()


def read_all(paths, day):
    """The bills of a day as one; nothing where one can't be trusted, which is told."""
    bill = Bill()
    for path in paths:
        try:
            # As bytes: read_text would make a line's end of each carriage return.
            bill.add(read(path.read_bytes().decode(), day))
        except (BillError, OSError, UnicodeDecodeError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            return None
    return bill


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bills", nargs="+", type=Path)
    parser.add_argument("--day", required=True, type=day_of_beijing)
    options = parser.parse_args()
    bill = read_all(options.bills, options.day)
    if bill is None:
        return 2
    for merchant in sorted(bill.merchants):
        paid, refunded = ([amount for (of, _), amount in part.items() if of == merchant] for part in (bill.payments, bill.refunds))
        print(f"{merchant}: {len(paid)} payments, {yuan(sum(paid))}; {len(refunded)} orders refunded, {yuan(sum(refunded))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
