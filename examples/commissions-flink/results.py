"""The topics of results, as a stranger reads them, and what has to be on them."""

from collections import defaultdict
from datetime import UTC, datetime

from framing import Registered
from events import Progress
from topic import Topic

COMMISSIONS, ATTRIBUTIONS = "promoter.flink.commissions", "promoter.flink.attributions"
# The columns that say which touch, by whom, and what follows.
COLUMNS = ("paid_amount", "upstream_promoter", "upstream_touch", "last_promoter", "last_touch", "verdict")


class Results(Topic):
    """The latest row of each key, and how many of its commissions were lower than the one before. A record without value deletes its row;
    a day with one order is deleted and written anew when that is corrected."""

    def __init__(self, bootstrap, registry, topic, group, reads):
        super().__init__(bootstrap, topic)
        self.values, self.progress, self.reads = Registered(registry), Progress(bootstrap, group), reads
        self.rows, self.commissions, self.corrections = {}, {}, 0

    def close(self):
        self.progress.close()
        super().close()

    def take(self, message):
        self.count += 1
        key, value = message.key().decode(), message.value()
        if value is None:
            del self.rows[key]
            return
        row = self.rows[key] = self.values.read(value)
        commission = row.get("commission", 0)
        self.corrections += commission < self.commissions.get(key, 0)
        self.commissions[key] = commission

    def behind(self):
        """What the job has not committed of the topics that it reads."""
        return [(read.topic, behind) for read in self.reads if (behind := self.progress.behind(read))]


def days_of(rows):
    """Fen by the key of commissions."""
    for key, row in rows.items():
        if key != f"{row['app_id']}/{row['promoter_openid']}/{row['day']}":
            raise ValueError(f"the key {key} is not that of {row}")
    return {key: row["commission"] for key, row in rows.items()}


def attributions_of(lines):
    """What the table of attributions has to say of each payment, worked out anew from the truth; and the verdict that the world was made
    to give, by the same keys."""
    came = defaultdict(list)
    for line in lines:
        if line["kind"] == "touch":
            came[line["app_id"], line["openid"]].append((line["create_time"], line["promoter_openid"]))
    wanted, planned = {}, {}
    for line in lines:
        if line["kind"] != "order" or line["status"] != "PAID":
            continue
        touches = [touch for touch in came[line["app_id"], line["openid"]] if touch[0] <= line["paid_time"]]
        last_touch, last_promoter = min(touches, key=lambda touch: (-touch[0], touch[1]), default=(None, None))
        upstream = line["promoter_openid"], time(line["create_time"])
        verdict = verdict_of(line["promoter_openid"], line["create_time"], last_promoter, last_touch)
        key = "/".join((line["app_id"], line["promoter_openid"], line["mch_id"], line["trade_no"]))
        wanted[key] = dict(zip(COLUMNS, (line["paid_amount"], *upstream, last_promoter, time(last_touch), verdict)))
        planned[key] = line["verdict"]
    return wanted, planned


def verdict_of(promoter, touched, last_promoter, last_touch):
    if last_promoter is None:
        return "NO_TOUCH"
    if last_promoter == promoter:
        return "SAME"
    if touched is None:
        return "UNTOLD"
    return {0: "SAME_SECOND", 1: "LATER_TOUCH", -1: "MISSING_TOUCH"}[(last_touch > touched) - (last_touch < touched)]


def time(seconds):
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def rows_that_differ(wanted, rows):
    found = {key: {name: row[name] for name in COLUMNS} for key, row in rows.items()}
    keys = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
    return [f"attributions: {key} is {found.get(key)} and has to be {wanted.get(key)}" for key in keys]


def stray_touch(lines):
    """The fields of a touch that nobody has shown: by another promoter, within the second of a payment."""
    order = next(line for line in lines if line["kind"] == "order" and line.get("verdict") == "SAME")
    fields = {name: order[name] for name in ("app_id", "openid")}
    at = order["paid_time"] * 1000
    return fields | {"event_id": "2" * 32, "id_kind": "OPENID", "promoter_openid": "oStray", "create_time": at, "observed_at": at}
