"""Users who come back: an upstream before the simulated one, whose touches and orders are of the same people.

The simulated upstream gives each row a user of its own, so no order has a touch. This reads its whole past first, gives touches to
users who come by several promoters, and each order to a user whose last touch is a reason for the promoter it is listed under, or
for a difference. Users are the same in all apps, as unionids are, and what they do in one is no reason for an order of another. From then on it passes everything on, with users and the times of orders' touches as planned; nothing else is changed, and
what was shown (`_truth`) is told in the same way.
"""

import http.client
import json
import random
import re
import threading
import time
import urllib.request
from bisect import bisect_right
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from typing import NamedTuple

# As the simulated upstream writes them: of touches and of orders.
TOUCH_USER, ORDER_USER = re.compile(rb'"(oT[0-9a-f]{26})"'), re.compile(rb'"(oP[0-9a-f]{26})"(,"create_time":"?)?([0-9]+)?')
USERS, TIES_MAX = 300, 60
# The share of payments of each reason, where a user can be found that gives it; the others are SAME.
SHARES = {"NO_TOUCH": 0.06, "LATER_TOUCH": 0.06, "MISSING_TOUCH": 0.06, "SAME_SECOND": 0.06}
BUSY = 0.05


class Came(NamedTuple):
    """A touch of a user."""

    time: int
    promoter: str


class Plan(NamedTuple):
    """Whose an order is, when that user came by its promoter, and the verdict that this has to give."""

    user: str
    touched: int | None
    verdict: str


class ReturningUsers:
    def __init__(self, upstream, apps, promoters, seed):
        self.upstream = upstream
        # Of these nothing is told yet: their calls are answered with busy.
        self.held = set(promoters[len(promoters) // 2 :])
        read_everything(upstream, apps, promoters)
        lines = [json.loads(line) for line in self.pass_on("GET", "/_truth", b"", {})[2].splitlines()]
        chance = random.Random(seed)
        self.user_of_touch, came = users_of_touches([line for line in lines if line["kind"] == "touch"], chance)
        orders = {line["openid"]: line for line in lines if line["kind"] == "order"}
        came_at = defaultdict(set)
        for app, users in came.items():
            for user, touches in users.items():
                for touch in touches:
                    came_at[app, touch.time].add(user)
        self.plans = {
            openid: plan(line, came[line["app_id"]], came_at[line["app_id"], line["paid_time"]], chance)
            for openid, line in sorted(orders.items())
        }
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"users": self}))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}"

    def verdicts(self):
        return Counter(each.verdict for each in self.plans.values())

    def pass_on(self, method, path, body, headers):
        """Status, headers and body of the upstream's answer."""
        connection = http.client.HTTPConnection(self.upstream.removeprefix("http://"), timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def rewritten(self, body):
        """Rows with their users, and orders with the times at which these came by their promoter."""
        body = TOUCH_USER.sub(lambda found: b'"%s"' % self.user_of_touch.get(found[1].decode(), found[1].decode()).encode(), body)
        return ORDER_USER.sub(self.order, body)

    def order(self, found):
        planned = self.plans.get(found[1].decode())
        if planned is None:
            return found[0]
        touched = found[3] if found[3] is None or planned.touched is None else b"%d" % planned.touched
        return b'"%s"%s%s' % (planned.user.encode(), found[2] or b"", touched or b"")

    def told(self, line):
        """A line of the truth."""
        fact = json.loads(line)
        if fact["kind"] == "touch":
            fact["openid"] = self.user_of_touch[fact["openid"]]
        elif fact["kind"] == "order":
            planned = self.plans[fact["openid"]]
            fact |= {"openid": planned.user, "create_time": planned.touched, "verdict": planned.verdict}
        return json.dumps(fact)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    users: ReturningUsers
    busy = random.Random(0)

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            # Whoever asked was killed.
            pass

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def answer(self):
        asked = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "accept-encoding", "connection")}
        is_data = self.path.startswith("/promoter/")
        if is_data and (json.loads(asked)["openid"] in self.users.held or self.busy.random() < BUSY):
            status, told, body = 200, [("Content-Type", "application/json")], b'{"errcode":-1,"errmsg":"system error"}'
        else:
            status, told, body = self.users.pass_on(self.command, self.path, asked, headers)
        if is_data:
            body = self.users.rewritten(body)
        elif self.path.startswith("/_truth"):
            body = "".join(self.users.told(line) + "\n" for line in body.splitlines()).encode()
        self.send_response_only(status)
        for name, value in told:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def users_of_touches(lines, chance):
    """The user of each touch, and by app when each user came by whom. Some came by two promoters within one second, and at no other time."""
    by_second = defaultdict(list)
    for line in lines:
        by_second[line["app_id"], line["time"]].append(line)
    users, ties = {}, 0
    for touches in by_second.values():
        if ties < TIES_MAX and len({line["promoter_openid"] for line in touches}) == 2 == len(touches) and chance.random() < 0.5:
            ties += 1
            users |= {line["openid"]: f"oTie{ties:024}" for line in touches}
    came = defaultdict(lambda: defaultdict(list))
    for line in lines:
        user = users.setdefault(line["openid"], f"oUser{chance.randrange(USERS):023}")
        came[line["app_id"]][user].append(Came(line["time"], line["promoter_openid"]))
    return users, {app: {user: sorted(touches) for user, touches in of_app.items()} for app, of_app in came.items()}


def plan(line, came, at_once, chance):
    """What an order is to be: drawn, and SAME or NO_TOUCH where no user fits what was drawn. Those who came in the very second of the payment
    are tried first: chance alone makes few such orders, and they tell "until" from "before"."""
    draw, wanted = chance.random(), ["SAME"]
    if line["create_time"] is None:
        wanted = [chance.choice(["SAME", "UNTOLD"])]
    else:
        for verdict, share in SHARES.items():
            if 0 <= draw < share:
                wanted = [verdict, "SAME"]
            draw -= share
    users = list(came)
    chance.shuffle(users)
    users.sort(key=lambda user: user not in at_once)
    for verdict in wanted:
        for user in users if verdict != "NO_TOUCH" else ():
            touches = came[user][: bisect_right(came[user], line["paid_time"], key=lambda touch: touch.time)]
            touched = reason(verdict, line["promoter_openid"], line["paid_time"], touches, user, chance)
            if touched is not None:
                return Plan(user, None if line["create_time"] is None else touched, verdict)
        if verdict == "NO_TOUCH":
            break
    return Plan(line["openid"], line["create_time"], "NO_TOUCH")


def reason(verdict, promoter, paid_time, touches, user, chance):
    """When the user came by the promoter, if the touches give that verdict; their last one is that before the payment."""
    if not touches:
        return None
    last, by_promoter = touches[-1], [touch.time for touch in touches if touch.promoter == promoter]
    tied = len(touches) > 1 and touches[-2].time == last.time
    if verdict == "SAME_SECOND":
        return last.time if user.startswith("oTie") and last.promoter == promoter else None
    if tied:
        return None
    if verdict == "SAME":
        return last.time if last.promoter == promoter else None
    if last.promoter == promoter:
        return None
    if verdict == "LATER_TOUCH":
        # The order was made before the last touch, and paid after it.
        return by_promoter[-1] if by_promoter else None
    if verdict == "MISSING_TOUCH":
        # A touch that nobody is shown.
        return chance.randint(last.time + 1, paid_time) if paid_time > last.time else None
    return last.time if verdict == "UNTOLD" else None


def read_everything(upstream, apps, promoters, limit=120):
    """All that the world has, which is all that it will have, page by page."""
    deadline = time.monotonic() + limit
    credentials = {"grant_type": "client_credential", "secret": "simulated-secret"}
    tokens = [ask(upstream, "/cgi-bin/stable_token", appid=app, **credentials)["access_token"] for app in apps]
    while not json.loads(urllib.request.urlopen(f"{upstream}/_stats", timeout=60).read())["facts"]["settled"]:
        if time.monotonic() > deadline:
            raise SystemExit(f"the world could not be read within {limit} s")
        for token, interface, promoter in product(tokens, ("getrelation", "getorder"), promoters):
            read_pages(upstream, f"/promoter/{interface}?access_token={token}", promoter)
        time.sleep(0.2)


def read_pages(upstream, path, promoter):
    asked = {"openid": promoter}
    while True:
        page = ask(upstream, path, **asked)
        # Numbers may be written as texts.
        if int(page.get("errcode") or 0) not in (0, 103006):
            raise SystemExit(f"{path.split('?')[0]} of {promoter}: {page}")
        if int(page.get("total_cnt") or 0) < 1000:
            return
        asked["start_id"] = page["start_id"]


def ask(upstream, path, **body):
    """Rows may have letters that JSON does not allow; of a page only its end is wanted here."""
    request = urllib.request.Request(upstream + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read().decode(errors="replace")
    return json.loads(re.sub(r'"(relation|order)_list":\[.*\]', '"list":[]', text, flags=re.DOTALL), strict=False)
