#!/usr/bin/env python3
"""The worst day of whoever operates it: each harm is told within a minute, by what, and how long until all is well again.

    python3 tests/worst_day/run.py [--only NAME …]

Starts a real Kafka, the simulated upstream behind a proxy, two instances, and a real Prometheus with alerts/rules.yml, a minute of which
is a second here. Then it harms them in one way after the other, and each time asks what somebody on call would ask: the status and its
page, the commands explain and status, the log, the metrics, and who is called by an alert, as alerts/inhibit.yml leaves it. Each must name
the reason within a minute, and no other alert may call anybody. Then the harm ends, and within three minutes there must be no cause and no
alert any more. At the end the topics must have exactly what the upstream says it has shown. Prints how long each took, in seconds.

Needs Rust, Java 17 or later, Maven, Python 3.11 or later, and of Debian the packages prometheus (2.42 or later) and faketime. The
whole takes about fifteen minutes.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from html import escape
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
# What stands here comes first: others have modules of the same names.
sys.path += [str(TESTS / "soak"), str(TESTS / "browser")]
from parts import ROOT, TARGET, World, enter_environment  # noqa: E402

# Within so long everything is told; an alert comes when it comes, but by then at the latest.
TOLD_WITHIN, CALLED_WITHIN = 60, 150
# How long a command may take: less than the minute, and more than one look at brokers that answer nothing.
COMMAND = "15s"
WAYS = ("api", "page", "explain", "status", "log", "metric", "alert")


class Running:
    """One of the connector's commands, started again until it tells."""

    def __init__(self, command, pattern):
        self.command, self.pattern, self.process, self.said = command, pattern, None, "nothing"

    def tells(self):
        if self.process is None:
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if self.process.poll() is None:
            return False
        self.said, self.process = self.process.stdout.read(), None
        return bool(re.search(self.pattern, self.said))

    def tells_at_last(self):
        self.tells()
        self.process.wait()
        return self.tells()

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Watch:
    """What is told of a harm, and when."""

    def __init__(self, scenario, day):
        self.scenario, self.day = scenario, day
        self.took, self.others, self.astray, self.last = {}, {}, {}, {}
        ports = [word for port in day.ports.values() for word in ("--at", f"127.0.0.1:{port}")]
        explain = day.command("explain", *ports, "--timeout", COMMAND, scenario.promoter)
        status = day.command("status", "--timeout", COMMAND)
        self.commands = {"explain": Running(explain, scenario.explain), "status": Running(status, scenario.status)}
        self.offsets = {name: day.instance(name).log.stat().st_size for name in day.present}
        self.begun = time.monotonic()

    def wanted(self):
        """The ways in which this is told; a scenario has no pattern of those that can't."""
        scenario = self.scenario
        has = {"api": scenario.code, "page": scenario.code, "explain": scenario.explain, "status": scenario.status, "log": scenario.log,
               "metric": scenario.metric, "alert": scenario.alerts}
        return [way for way in WAYS if has[way]]

    def already(self):
        """The ways in which it is told though nothing has happened yet: what is found by them afterwards would prove nothing."""
        told = [way for way in self.wanted() if way not in self.commands and getattr(self, way)()]
        told += [way for way, running in self.commands.items() if way in self.wanted() and running.tells_at_last()]
        self.begun = time.monotonic()
        return told

    def now(self):
        return time.monotonic() - self.begun

    def look(self):
        for way in self.wanted():
            if way not in self.took and getattr(self, way)():
                self.took[way] = self.now()
        # What else the status says by now.
        for instance in self.scenario.instances:
            self.cause(instance)
        self.look_for_others()

    def look_for_others(self, is_over=False):
        from alerts import name, told

        for labels in told(self.day.prometheus.alerts("firing")):
            # What was missed is read again in real seconds, each of which is a minute to the rules: that some are late then is their
            # scale's. That nothing calls in the end is looked at anyway.
            is_catching_up = is_over and labels["alertname"] == "PromoterConnectorLate"
            if not is_catching_up and not any(wanted.items() <= labels.items() for wanted in self.scenario.alerts):
                self.others.setdefault(name(labels), self.now())

    def api(self):
        return all(self.cause(name) for name in self.scenario.instances)

    def cause(self, instance):
        """Of the causes of an instance the one that names the reason."""
        scenario, status = self.scenario, self.day.status(instance)
        causes = status["causes"] if status else []
        self.last[instance] = causes if status else "no answer"
        for cause in causes:
            if cause["severity"] != "note" and not re.fullmatch(scenario.code, cause["code"]) and cause["code"] not in scenario.besides:
                self.astray.setdefault(cause["code"], f"{self.now():.0f} s: {cause['text']}; do: {cause['action']}")
        return next((cause for cause in causes if re.fullmatch(scenario.code, cause["code"])
                     and re.search(scenario.text, cause["text"]) and re.search(scenario.action, cause["action"])), None)

    def page(self):
        """The page has what the status has."""
        for instance in self.scenario.instances:
            cause, page = self.cause(instance), self.day.ask(instance, "/") or ""
            if not cause or escape(cause["action"], quote=False) not in page.replace("&#39;", "'").replace("&quot;", '"'):
                return False
        return True

    def explain(self):
        return self.commands["explain"].tells()

    def status(self):
        return self.commands["status"].tells()

    def log(self):
        from day import log_lines

        def has(name):
            lines = log_lines(self.day.instance(name).log, self.offsets.get(name, 0))
            return any(re.search(self.scenario.log, line) for line in lines.splitlines())

        return all(has(name) for name in self.scenario.logged_by or self.scenario.instances)

    def metric(self):
        return self.day.prometheus.shows(self.scenario.metric)

    def alert(self):
        firing = self.day.prometheus.alerts("firing")
        return all(any(wanted.items() <= labels.items() for labels in firing) for wanted in self.scenario.alerts)

    def until_told(self):
        while True:
            self.look()
            missing = {way for way in self.wanted() if way not in self.took}
            # An alert comes when it comes; all else is too late after a minute.
            if self.now() > (self.scenario.lasts if not missing else CALLED_WITHIN if "alert" in missing else TOLD_WITHIN):
                break
            time.sleep(0.5)
        for running in self.commands.values():
            running.end()

    def faults(self):
        """What is missing, in words."""
        found = []
        for way in self.wanted():
            if way not in self.took:
                found.append(f"{way} does not tell")
            elif way != "alert" and self.took[way] > TOLD_WITHIN:
                found.append(f"{way} tells only after {self.took[way]:.0f} s")
        found += [f"another cause is told: {code} after {what}" for code, what in self.astray.items()]
        found += [f"another alert calls: {name} after {took:.0f} s" for name, took in self.others.items()]
        return found


def play(name, scenario, day):
    """One scenario; its line of the table, and what was missing."""
    from day import Fault

    print(f"{name}: {scenario.__doc__ or type(scenario).__base__.__doc__}".split("\n")[0], flush=True)
    # The one before may have started instances again.
    day.be_well()
    scenario.prepare(day)
    watch = Watch(scenario, day)
    faults = [f"{way} tells it though nothing has happened" for way in watch.already()]
    scenario.harm(day)
    watch.until_told()
    harmed = watch.now()
    scenario.end(day)
    faults += watch.faults()
    well = None
    try:
        well = day.be_well(lambda: watch.look_for_others(is_over=True))
    except Fault as fault:
        faults.append(str(fault))
    faults += [fault for fault in watch.faults() if fault not in faults]
    for fault in faults:
        print(f"  MISSING {fault}", flush=True)
    if faults:
        print(f"  causes were {watch.last}")
        print("".join(f"  {way} said: {running.said}\n" for way, running in watch.commands.items() if way in watch.wanted()
                      and way not in watch.took), end="", flush=True)
    scenario.leave(day)
    row = [name, *(watch.took.get(way, "-" if way not in watch.wanted() else "MISSING") for way in WAYS), harmed]
    return [*row, *(well or ("MISSING", "MISSING"))], faults


def table(rows):
    head = ["scenario", *WAYS, "harm lasted", "well after", "no alert after"]
    cells = [[f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [head, *cells]) for column in range(len(head))]
    for row in [head, *cells]:
        print("  ".join(cell.ljust(width) if not column else cell.rjust(width)
                        for column, (cell, width) in enumerate(zip(row, widths))))


def judge(day):
    """Whether the topics have exactly what was shown, once nothing more is."""
    from judge import Found, compare, dead, truth
    from day import APP, SECONDS

    day.upstream.target = None
    deadline = time.monotonic() + SECONDS
    while True:
        found = Found(day.world.bootstrap, ROOT / "schemas")
        found.read_to_end()
        found.consumer.close()
        found.facts -= Counter(dead({"app_id": APP, "promoter_openid": promoter}, raw) for promoter, raw in day.own_letters)
        verdict = compare(truth(day.world.ask("_truth")), found)
        if verdict.is_exact() or time.monotonic() > deadline:
            print(verdict)
            return verdict.is_exact() and verdict.shown > 0
        time.sleep(2)


def main():
    missing = [name for name in ("prometheus", "faketime") if not shutil.which(name)]
    if missing:
        raise SystemExit(f"{' and '.join(missing)} missing (Debian: apt install prometheus faketime)")
    home = TARGET / "worst-day-python"
    enter_environment(home, Path(__file__).with_name("requirements.txt"))
    from day import Day, Fault
    from scenarios import SCENARIOS

    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), metavar="NAME",
                        help=f"of {', '.join(SCENARIOS)}")
    parser.add_argument("--seed", type=int, default=1, help="of the world")
    options = parser.parse_args()
    directory = TARGET / "worst-day" / time.strftime("%Y%m%d-%H%M%S")
    directory.mkdir(parents=True)
    print(f"files in {directory}", flush=True)
    day, rows, faults = Day(World(directory, release=False)), [], []
    try:
        day.begin(options.seed)
        for name in (name for name in SCENARIOS if name in options.only):
            try:
                row, found = play(name, SCENARIOS[name](), day)
            except Fault as fault:
                # What the one before has left behind: nothing that follows would be of its own harm.
                faults.append(f"{name} and what follows can't be played: {fault}")
                break
            rows.append(row)
            faults += [f"{name}: {fault}" for fault in found]
            table([row])
        if not judge(day):
            faults.append("the topics have not what was shown")
    finally:
        day.end()
    table(rows)
    print("\n".join(faults))
    print("all of it is told" if not faults else "NOT all of it is told")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
