#!/usr/bin/env python3
"""Commissions and attributions of Flink SQL are those of the upstream's truth, to the fen, whatever is killed.

    python3 examples/commissions-flink/check.py                  # some two minutes
    python3 examples/commissions-flink/check.py --plant rate     # must fail, and so must the other faults to be planted
    python3 examples/commissions-flink/check.py --windows        # also measures what windows of time would lose

Starts a real Kafka, a real schema registry, the simulated upstream with two apps and users who come back to both (returning.py), the
connector and both jobs of sql/; kills the connector with SIGKILL in the middle, and both jobs when it goes on. When every touch and
order is on the topics and the offsets that the jobs have committed are behind the last of them, both topics of results, read as a
stranger would, are compared with what the upstream says it has shown: each day of each promoter, and each payment with both its
promoters and the reason why they differ. Before that an order of the first day is refunded, which has to correct that day and no other;
and a payment comes twice, under a second promoter, and under the same number at another merchant. Exits with 0 only if every row is the
same, and what docs/consuming.md shows of Flink stands in the files.

Needs Rust, Java 17 or later, Maven, and Python 3.11 or later; the Python packages are installed below target/. PROMOTER_BINARIES names
a directory, laid out as target/debug is, whose connector and broker are taken instead of building them.
"""

import argparse
import random
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests" / "soak"), str(HERE.parent / "checking"), str(HERE)]
from connector import APPS, promoters, start_connector  # noqa: E402
from java import Registry, java, maven  # noqa: E402
from page import must_stand_in  # noqa: E402
from parts import carry_out, tell  # noqa: E402
from returning import ReturningUsers  # noqa: E402
import windows  # noqa: E402

BASIS_POINTS = 500
HISTORY_DAYS = 3
# Some of them without a promoter.
PARTITIONS = 12
# The files of each job, which is also the name of its group of consumers.
JOBS = {"commissions-flink": "commissions.sql", "attribution-flink": "attribution.sql"}
# What can be planted in the files, and in place of what.
FAULTS = {
    "rate": ("* 500 /", "* 501 /"), "uncommitted": ("'read_committed'", "'read_uncommitted'"),
    "app": ("t.app_id = o.app_id AND ", ""),
}
# Between two checkpoints, and until nothing comes any more.
CHECKPOINT_SECONDS, QUIET_SECONDS = 3, 10
VERDICTS = {"SAME", "NO_TOUCH", "LATER_TOUCH", "MISSING_TOUCH", "SAME_SECOND", "UNTOLD"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--promoters", type=int, default=10, help="of each of the two apps")
    parser.add_argument("--orders-per-hour", type=int, default=3, help="of each promoter, over three days of history")
    parser.add_argument("--touches-per-hour", type=int, default=6, help="of each promoter, over the same days")
    parser.add_argument("--plant", choices=["event", "refund", "touch", *FAULTS], help="a fault that has to be found: an order that "
                        "the upstream never showed, of one fen of commission; a refund that nobody asked for; a touch that nobody made, "
                        "just before a payment; a rate that is one basis point too high; jobs that read what was aborted; touches that are "
                        "joined without a look at the app")
    parser.add_argument("--windows", action="store_true", help="run sql/windows.sql beside them, which must lose payments")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="of the world")
    parser.add_argument("--settle", type=int, default=240, help="seconds that the end may take")
    parser.add_argument("--release", action="store_true", help="the optimised connector")
    return parser.parse_args()


def run(options, world):
    # Their packages are there only within the environment.
    from events import Events, publish, refund_an_order, tell_again
    from framing import Registered
    from results import ATTRIBUTIONS, COMMISSIONS, Results, stray_touch
    from truth import lines_of

    must_stand_in(HERE / "sql" / "tables.sql", "Flink SQL")
    maven("clean", "package", cwd=HERE)
    users, registry = start(options, world)
    create_results(world.bootstrap, (COMMISSIONS, ATTRIBUTIONS))
    for job in JOBS:
        start_job(options, world, registry, job)
    if options.windows:
        windows.start(world, sql(world, registry), HERE / "sql")
    with ExitStack() as closing:
        orders, touches = (closing.enter_context(Events(world.bootstrap, kind)) for kind in ("order", "touch"))
        commissions = closing.enter_context(Results(world.bootstrap, registry, COMMISSIONS, "commissions-flink", [orders]))
        attributions = closing.enter_context(Results(world.bootstrap, registry, ATTRIBUTIONS, "attribution-flink", [orders, touches]))
        everything = [orders, touches, commissions, attributions]

        kill_in_the_middle(options, world, users, registry, everything)
        follow(options, world, everything)
        # An order of the first day is refunded, and but for what is planted nothing else takes anything back: its day has to be corrected.
        before, ids = commissions.corrections, Registered(registry)
        lines = refund_an_order(orders, lines_of(world.ask("_truth")), options.plant, ids.latest_id(orders.topic))
        lines = tell_again(orders, lines, ids.latest_id(orders.topic))
        if options.plant == "touch":
            publish(world.bootstrap, "touch", stray_touch(lines), ids.latest_id(touches.topic), planted=True)
            touches.planted += 1
        follow(options, world, everything)
    good = compare(lines, commissions, attributions)
    corrected = commissions.corrections - before
    good &= tell(corrected == 1, f"the refund of an order of {HISTORY_DAYS} days ago has corrected {corrected} day")
    if options.windows:
        good &= windows.measure(world, lines)
    codes = {job: world.children[job].terminate(60) for job in JOBS}
    print(f"jobs stopped with {codes}")
    return good


def start(options, world):
    """Kafka, the world with its users, a registry and the connector; the users, and where the registry is."""
    # All facts are there from the beginning, since users are given to them before anybody reads them.
    world.begin(*(f"--app={app}" for app in APPS), f"--seed={options.seed}", f"--promoters={options.promoters}", "--quiet-after=1s",
                "--faults=none", "--late-max=1s", "--moving=1s", f"--history={HISTORY_DAYS}d", "--refund-within=2d", "--duplicates=0.002",
                f"--touches-per-hour={options.touches_per_hour}", f"--orders-per-hour={options.orders_per_hour}")
    users = ReturningUsers(world.upstream, APPS, promoters(options.promoters), options.seed)
    print(f"planned: {dict(users.verdicts())}", flush=True)
    world.upstream = users.url
    registry = Registry(world).url
    connector = start_connector(world, options.promoters, PARTITIONS, HISTORY_DAYS, registry, APPS)
    connector.wait_for(r"(log is open, polling begins)", 60)
    return users, registry


def create_results(bootstrap, topics):
    """Compacted, which no statement of SQL can say."""
    from confluent_kafka.admin import AdminClient, NewTopic

    wanted = [NewTopic(topic, 2, 1, config={"cleanup.policy": "compact"}) for topic in topics]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for created in admin.create_topics(wanted).values():
        created.result(30)


def start_job(options, world, registry, job):
    """Also again: from the checkpoints that it has."""
    right, wrong = FAULTS.get(options.plant, ("", ""))
    files = [world.directory / name for name in ("tables.sql", JOBS[job])]
    for file in files:
        file.write_text((HERE / "sql" / file.name).read_text().replace(right, wrong))
    return world.start(job, *sql(world, registry), "--checkpoints", world.directory / job,
                       "--set", f"execution.checkpointing.interval={CHECKPOINT_SECONDS}s", *files)


def sql(world, registry):
    return [*java(world), "-Xmx512m", "-jar", HERE / "target" / "sql.jar", "--bootstrap", world.bootstrap, "--registry", registry]


def kill_in_the_middle(options, world, users, registry, everything):
    """All of them, while they have work; the jobs after checkpoints, and with results that no checkpoint has yet."""
    orders, _, *results = everything
    until(options, world, everything, lambda: all(each.count for each in results) and not any(each.behind() for each in results))
    # The other half of the promoters begins to answer.
    users.held.clear()
    for kill in (["connector"], JOBS):
        before = orders.count
        until(options, world, everything, lambda: orders.count > before)
        for name in kill:
            world.children[name].kill9()
            print(f"{name} killed, after {orders.count} orders", flush=True)
            if name == "connector":
                world.connector(name)
            else:
                start_job(options, world, registry, name).wait_for("the job begins, (file:.*)", 60)


def follow(options, world, everything):
    """Until all that there is to read was read, by us and by the jobs; an offset is committed with the results of what lies before it."""
    orders, touches, *results = everything
    until(options, world, everything, lambda: orders.are_all(world.ask) and touches.are_all(world.ask)
          and not any(each.behind() for each in results))
    # What a checkpoint commits is shown behind the offsets: nothing more may come for the time of several.
    count, since = None, time.monotonic()
    while time.monotonic() < since + QUIET_SECONDS:
        until(options, world, everything, lambda: True)
        if count != (count := sum(each.count for each in results)):
            since = time.monotonic()


def until(options, world, everything, holds):
    """Reads all topics, once at least."""
    begin, told = time.monotonic(), 0
    while True:
        for topic in everything:
            topic.poll()
        if holds():
            return
        for child in world.children.values():
            child.must_run()
        if time.monotonic() - told > 10:
            told = time.monotonic()
            print("  ".join(f"{topic.count} {topic.topic}" for topic in everything), flush=True)
        if time.monotonic() > begin + options.settle:
            raise SystemExit(f"not so after {options.settle} s: {[(each.topic, each.behind()) for each in everything[2:]]}")


def compare(lines, commissions, attributions):
    from results import attributions_of, days_of, rows_that_differ
    from truth import differences, differences_of, expected

    truth, late = expected(lines, BASIS_POINTS)
    days = days_of(commissions.rows)
    wanted, planned = attributions_of(lines)
    wrong = differences("commissions", truth, days) + rows_that_differ(wanted, attributions.rows)
    # The verdict must not only follow from the rows, but be the reason for which the world has made them so.
    wrong += [f"{key} has to be {row['verdict']}, and was made to be {planned[key]}"
              for key, row in wanted.items() if row["verdict"] != planned[key]]
    print(f"{len(days)} days of promoters, {sum(days.values())} fen; {sum(truth.values())} by the truth; "
          f"{late} refunds came on a later day")
    fen, count, at_once = Counter(), Counter(), 0
    for row in attributions.rows.values():
        at_once += row["last_touch"] == row["paid_time"]
        fen[row["verdict"]] += row["paid_amount"]
        count[row["verdict"]] += 1
    print("\n".join(f"  {verdict:13} {number:6} payments {fen[verdict]:15} fen" for verdict, number in count.most_common()))
    print(f"  {at_once} of them by a touch of the very second of the payment")
    same = tell(not wrong, differences_of(wrong) or "no difference, in commissions or attributions")
    unseen = sorted(VERDICTS ^ count.keys())
    seen = tell(late > 0 and at_once > 0 and not unseen, f"refunds on a later day and touches of the very second; {unseen or 'no'} verdict is unseen or unknown")
    return same and seen


if __name__ == "__main__":
    sys.exit(carry_out("commissions-flink", arguments, run, ["connector", *JOBS], ("to the fen", "NOT to the fen")))
