"""The alerts on a real Prometheus, told apart as Alertmanager would, and quicker: a minute of theirs is a second here."""

import json
import re
import urllib.parse
import urllib.request

import yaml

from parts import ROOT

RULES = ROOT / "alerts" / "rules.yml"
INHIBITIONS = ROOT / "alerts" / "inhibit.yml"
MINUTES = {"m": 1, "h": 60, "d": 24 * 60}
DURATION = re.compile(r"\b(\d+)([mhd])\b")
# How long an alert on something that stands still waits, in seconds, and how long here. Not a minute in a second: what it goes by comes
# within what the connector has promised, and that is no quicker.
STANDS_STILL, STANDS_STILL_HERE = 300, 60
# Whoever is polled again is late until his turn has come: what keeps an alert firing has to outlast that, as it does in life.
KEEPS_FIRING, KEEP_FIRING = "10m", "15s"
MATCHER = re.compile(r'(\w+)(=~|=)"(.*)"')


def quicker(text):
    """The same with a second for each minute."""
    return DURATION.sub(lambda found: f"{int(found[1]) * MINUTES[found[2]]}s", text)


def quicker_rules():
    """The rules as they stand in the file, with their waits and windows shortened."""
    rules, stands_still = yaml.safe_load(RULES.read_text()), 0
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        for key in {"expr", "for"} & rule.keys():
            rule[key] = quicker(rule[key])
        if keep_firing := rule.get("keep_firing_for"):
            rule["keep_firing_for"] = KEEP_FIRING if keep_firing == KEEPS_FIRING else quicker(keep_firing)
        rule["expr"], count = re.subn(rf"\b{STANDS_STILL}\b", str(STANDS_STILL_HERE), rule["expr"])
        stands_still += count
    assert stands_still, f"no alert waits for {STANDS_STILL} s any more"
    return rules


def matches(matchers, labels):
    """Whether labels are as Alertmanager's matchers want them; the two kinds that the file has."""
    for matcher in matchers:
        name, kind, value = MATCHER.fullmatch(matcher).groups()
        if not re.fullmatch(value if kind == "=~" else re.escape(value), labels.get(name, "")):
            return False
    return True


def told(firing):
    """Of the labels of alerts that fire those that somebody is told of: the others follow from one of these."""
    rules = yaml.safe_load(INHIBITIONS.read_text())["inhibit_rules"]

    def is_inhibited(labels):
        return any(
            matches(rule["target_matchers"], labels) and matches(rule["source_matchers"], source)
            and all(labels.get(name) == source.get(name) for name in rule["equal"])
            for rule in rules for source in firing if source is not labels
        )
    return [labels for labels in firing if not is_inhibited(labels)]


class Prometheus:
    """Scrapes the admin ports, and evaluates the rules, each second."""

    def __init__(self, world, ports):
        path, rules = world.directory / "prometheus.yml", world.directory / "rules.yml"
        # JSON is YAML.
        rules.write_text(json.dumps(quicker_rules()))
        targets = [f"127.0.0.1:{port}" for port in ports]
        path.write_text(json.dumps({
            # A process that stands still answers nothing, and is gone for Prometheus only after so long.
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "promoter-connector", "static_configs": [{"targets": targets}]}],
        }))
        storage = f"--storage.tsdb.path={world.directory / 'prometheus'}"
        child = world.start("prometheus", "prometheus", f"--config.file={path}", storage, "--web.listen-address=127.0.0.1:0")
        self.url = "http://" + child.wait_for(r"Listening on.*address=(127\.0\.0\.1:\d+)", 30)
        child.wait_for(r"(Server is ready)", 60)

    def ask(self, path, **parameters):
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(parameters)}", timeout=30) as answer:
            return json.load(answer)["data"]

    def shows(self, query):
        """Whether anything is so that the query asks for."""
        return bool(self.ask("/api/v1/query", query=query)["result"])

    def alerts(self, *states):
        """The labels of those in these states."""
        return [alert["labels"] for alert in self.ask("/api/v1/alerts")["alerts"] if alert["state"] in states]

    def must_be_well(self):
        rules = [rule for group in self.ask("/api/v1/rules")["groups"] for rule in group["rules"]]
        ill = [f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] == "err"]
        if ill or not rules:
            raise SystemExit(f"the rules are not well: {ill}")


def name(labels):
    """An alert, in a few words."""
    more = [labels[key] for key in ("why", "risk", "reason", "feed", "pipeline") if key in labels]
    return " ".join([labels["alertname"].removeprefix("PromoterConnector"), *more])
