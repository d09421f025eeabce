"""What the page shows is what the connector says: compared word by word. Both go on meanwhile, and are of two moments: so each part has to
agree once."""

import json

from stage import APP
from tools import Fault, promoter_id

UNITS = ((172_800, 86_400, "d"), (7200, 3600, "h"), (120, 60, "m"), (0, 1, "s"))
SIGNS = {"well": "✓", "standby": "✓", "late": "▲", "starting": "▲", "stopping": "▲", "stopped": "✗"}
SEVERITIES = {"stopped": "✗", "late": "▲", "note": "·"}
LINES = {"well": "✓", "trouble": "✗", "note": "·"}


def age(seconds):
    if seconds is None:
        return "–"
    _, unit, name = next(unit for unit in UNITS if seconds >= unit[0])
    return f"{seconds // unit}{name}"


def worst(feed):
    seconds, promised = feed["worst_seconds"], feed["promised_seconds"]
    if seconds is None:
        return "–"
    sign = "✗" if seconds > 2 * promised + 300 else "▲" if seconds > promised + 60 else "✓"
    return f"{sign} {age(seconds)}"


def headline(status):
    late = sum(feed["late"] for feed in status["feeds"])
    polled = late + sum(feed["on_time"] for feed in status["feeds"])
    words = [SIGNS[status["state"]], status["state"]]
    words += [f"{late} of {polled}"] if late else []
    words += [f"since {status['since']}"] if status["since"] else []
    return " ".join(words)


def cause(told):
    code = f"{told['errcode']}: " if "errcode" in told else ""
    pairs = [["affects", told["affects"]], ["told", code + told["text"]]]
    pairs += [["since", told["since"]]] if "since" in told else []
    pairs += [["next try", told["next_try"]]] if "next_try" in told else []
    return [f"{SEVERITIES[told['severity']]} {told['code']}", *pairs, ["do", told["action"]]]


def pipeline(told):
    words = "✓ answers" if told["kafka_up"] else "✗ does not answer"
    words += f", last commit {told['last_commit']}" if told["last_commit"] else ""
    words += f", waits since {told['waits_since']}" if told["waits_since"] else ""
    return [told["pipeline"], words]


def feed_row(feed):
    counts = [str(feed[key]) for key in ("on_time", "late", "backfilling", "parked", "paused")]
    return [feed["app"], feed["feed"], worst(feed), age(feed["p95_seconds"]), age(feed["promised_seconds"]), *counts]


def quota_row(quota):
    return [quota["app"], quota["interface"], str(quota["used"]), "–" if quota["limit"] is None else str(quota["limit"])]


def expected(status, parked):
    partitions = "{polling} of {all} polled here, {restoring} restoring".format(**status["partitions"])
    return {
        "title": f"{SIGNS[status['state']]} {status['state']} · {status['name']}",
        "headline": headline(status),
        "as_of": status["as_of"],
        "causes": [cause(told) for told in status["causes"]],
        "nothing": "Nothing stands in the way." if all(told["severity"] == "note" for told in status["causes"]) else None,
        "feeds": [feed_row(feed) for feed in status["feeds"]],
        "quota": [quota_row(quota) for quota in status["quota"]],
        "parked": [f"{feed['promoter']} {feed['feed']} is parked" for feed in parked],
        "kafka": [*map(pipeline, status["pipelines"]), ["partitions", partitions]],
        "dead_letters": [[f"{letters['source']} {letters['reason']}", str(letters["count"])] for letters in status["dead_letters"]],
    }


def expected_of_promoter(told):
    progress = [[feed["feed"], feed.get("state", "–"), feed.get("read_to", "–"), feed["complete_before"] or "–",
                 "is polled" if feed["is_polled_now"] else "waits for its turn"] for feed in told["feeds"]]
    lines = [f"{LINES[line['sign']]} {line['text']}" for line in told["lines"]]
    return {"causes": [cause(one) for one in told["causes"]], "lines": lines, "progress": progress}


def flat(told):
    """Each row by itself: they are compared one by one."""
    rows = {f"{key} {place}": row for key, value in told.items() if isinstance(value, list) for place, row in enumerate(value)}
    return rows | {key: len(value) if isinstance(value, list) else value for key, value in told.items()}


def agree(browser, visit, ask):
    """Until each part was, when the page came up to date, what was answered shortly before or after."""
    differences, agreed = {}, set()
    for _ in range(browser.patience):
        answers = [flat(answer) for answer in visit.wait_for_news(ask)]
        shown, wanted = flat(visit.read()), answers[-1]
        agreed |= {key for key in wanted if any(key in answer and answer[key] == shown.get(key) for answer in answers)}
        differences = {key: (shown.get(key), value) for key, value in wanted.items() if key not in agreed}
        if not differences:
            return
    told = (f"{key}: it shows {json.dumps(shown, ensure_ascii=False)} for {json.dumps(value, ensure_ascii=False)}"
            for key, (shown, value) in differences.items())
    raise Fault("; ".join(told))


def of_status(browser, visit):
    stage = browser.stage
    agree(browser, visit, lambda: expected(stage.status(), stage.ask("/api/v1/promoters?state=parked&limit=20")["feeds"]))


def of_promoter(browser, visit, number):
    agree(browser, visit, lambda: expected_of_promoter(browser.stage.ask(f"/api/v1/promoters/{APP}/{promoter_id(number)}")))
