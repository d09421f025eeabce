#!/usr/bin/env python3
"""Every query of the dashboard and of the alerts, on a real Prometheus that scrapes a real connector.

    python3 tests/operating/run.py

Starts a real Kafka, the simulated upstream, the connector, and Prometheus with alerts/rules.yml. Fails where a query has an error,
names a metric that the connector does not have, or where a part of it selects no series (a value of a label that is not there) or a
panel stays empty that is not listed below; where a rule is not well; and where promtool finds a fault in the rules or one of their
tests fails.

Needs Rust, Java 17 or later, Maven, Python 3.11 or later, and prometheus and promtool 2.42 or later (Debian: apt install prometheus).
"""

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "soak"))
from parts import ROOT, TARGET, World, configuration, promoter_id  # noqa: E402

DASHBOARD = ROOT / "grafana" / "promoter-connector.json"
RULES = ROOT / "alerts" / "rules.yml"
# Panels that may be empty while all is well, each with the reason.
MAY_BE_EMPTY = {
    "Stopped apps": "none is",
    "Held interfaces": "none is",
    "Oldest that waits": "nothing waits",
    "Dead letters": "they have no series of a kind that was never met",
}
SELECTOR = re.compile(r"promoter_connector[a-z_:]*(?:\{[^}]*\})?")
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?![a-zA-Z0-9_:]|\s*\()")
# What a query has beside names of metrics.
OTHER = re.compile(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"|\b(?:by|without|on|ignoring)\s*\([^)]*\)|\b(?:and|or|unless|bool|offset)\b")
SUFFIX = re.compile(r"_(total|bucket|sum|count)$")
SECONDS = 90


def ask(url, path, **parameters):
    with urllib.request.urlopen(f"{url}{path}?{urllib.parse.urlencode(parameters)}", timeout=30) as answer:
        return json.load(answer)["data"]


def result(url, query):
    try:
        return ask(url, "/api/v1/query", query=query)["result"]
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{query}\n{error.read().decode()}") from error


def queries():
    """The title of each panel, with what it asks for."""
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$instance", ".*").replace("$__rate_interval", "30s")


def unknown_names(query, metrics, records):
    """Names in it that are none of the connector's metrics, nor of what a rule records."""
    names = NAME.findall(OTHER.sub("", query))
    return [name for name in names if name not in records and name not in metrics and SUFFIX.sub("", name) not in metrics]


def faults(url, rules):
    """What is wrong now; what is scraped for the first time may mend it."""
    found = []
    metrics = ask(url, "/api/v1/metadata").keys()
    records = {rule["name"] for rule in rules if rule["type"] == "recording"}
    panels = list(queries())
    for title, query in panels + [(rule["name"], rule["query"]) for rule in rules]:
        found += [f"{title}: {name} is no metric of the connector" for name in unknown_names(query, metrics, records)]
        answer = result(url, query)
        if title in MAY_BE_EMPTY:
            continue
        found += [f"{title}: {part} selects nothing" for part in SELECTOR.findall(query) if not result(url, part)]
        if not answer and (title, query) in panels:
            found.append(f"{title} is empty: {query}")
    found += [f"{rule['name']} is {rule['health']}: {rule.get('lastError')}" for rule in rules if rule["health"] != "ok"]
    return found


def begin(world):
    world.begin("--seed=1", "--promoters=5", "--faults=none")
    names = ", ".join(f'"{promoter_id(number)}"' for number in range(1, 6))
    text = configuration(world, "one", 3, f"promoters = [{names}]")
    off, on = 'listen = "off"', 'listen = "127.0.0.1:0"'
    assert off in text, "the configuration of the soaks has changed"
    text = text.replace(off, on)
    (world.directory / "one.toml").write_text(text)
    address = world.connector("one").wait_for(r'"address":"(127\.0\.0\.1:\d+)"', 60)
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "promoter-connector", "static_configs": [{"targets": [address]}]}],
    }
    # JSON is YAML.
    path = world.directory / "prometheus.yml"
    path.write_text(json.dumps(settings))
    subprocess.run(["promtool", "check", "config", path], check=True)
    storage = f"--storage.tsdb.path={world.directory / 'prometheus'}"
    prometheus = world.start(
        "prometheus", "prometheus", f"--config.file={path}", storage, "--web.listen-address=127.0.0.1:0"
    )
    address = prometheus.wait_for(r"Listening on.*address=(127\.0\.0\.1:\d+)", 30)
    prometheus.wait_for(r"(Server is ready)", 60)
    return f"http://{address}"


def run(world):
    url = begin(world)
    deadline = time.monotonic() + SECONDS
    while True:
        rules = [rule for group in ask(url, "/api/v1/rules")["groups"] for rule in group["rules"]]
        found = faults(url, rules) if rules else ["no rule is loaded"]
        if not found or time.monotonic() > deadline:
            break
        time.sleep(1)
    print(f"{len(list(queries()))} queries of the dashboard and {len(rules)} rules")
    print("\n".join(found))
    return not found


def main():
    missing = [name for name in ("prometheus", "promtool") if not shutil.which(name)]
    if missing:
        raise SystemExit(f"{' and '.join(missing)} missing: install Prometheus 2.42 or later (Debian: apt install prometheus)")
    subprocess.run(["promtool", "test", "rules", RULES.with_name("tests.yml")], check=True)
    directory = TARGET / "operating" / time.strftime("%Y%m%d-%H%M%S")
    directory.mkdir(parents=True)
    world = World(directory, release=False)
    try:
        is_well = run(world)
    finally:
        world.end()
    print("all of it answers" if is_well else "NOT all of it answers")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
