#!/usr/bin/env python3
"""All that deploys the connector, read by those who will read it, and its commands by the connector itself.

    python3 tests/deploy/run.py

Renders deploy/kubernetes (kustomize) and deploy/helm (helm, which lints it, too), and holds them against the schemas of Kubernetes, the
types of the Prometheus Operator, and what they have to say; has systemd verify deploy/systemd; lints Dockerfile (hadolint) and
docker-compose.yml (compose-go); reads grafana/ by the types that Grafana's makers publish. The configuration in each is read by
`promoter-connector check --offline`, each command by the program that it starts, and each path of a probe is asked of a connector that
runs. Then it plants faults, one at a time, and fails where one is not found.

Nothing of it is run by Kubernetes, Docker, systemd or Grafana. Needs Rust, Go 1.26, Python 3.11, systemd 250 and promtool 2.42 (Debian: apt
install prometheus), or later. The other programs it fetches at pinned versions: by Go, and into a Python environment of its own. The
first time takes some minutes, later about one.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from tools import HERE, HOME, ROOT, enter_environment

TREES = ("deploy", "config", "alerts", "grafana")
FILES = ("Dockerfile", "docker-compose.yml")


def look(tools, tree, is_asked=True):
    """Fails with the first fault. The connector is started only where it `is_asked`, which takes a second."""
    import images
    import manifests
    import programs
    import units

    ways = manifests.rendered(tools, tree / "deploy")
    for way, documents in ways.items():
        manifests.must_be_valid(tools, way, documents)
        arguments = manifests.connector_of(documents["StatefulSet"])["args"]
        programs.must_be_a_command(tools, way, arguments)
        programs.must_be_a_configuration(tools, way, documents)
        manifests.must_be_as_wanted(way, documents)
    if is_asked:
        programs.must_be_answered(tools, ways)
    manifests.must_be_the_same(ways["base"], ways["chart"])
    units.must_be_good(tools, tree / "deploy")
    images.must_be_good(tools, tree)


def said_of(tools, file, old, new):
    """What is said of a tree with one fault in it; nothing where it is not found."""
    from tools import Fault

    with tempfile.TemporaryDirectory(dir=HOME) as directory:
        tree = Path(directory)
        for name in TREES:
            shutil.copytree(ROOT / name, tree / name)
        for name in FILES:
            shutil.copy(ROOT / name, tree / name)
        text = (tree / file).read_text()
        if old not in text:
            raise SystemExit(f"{file} has no {old!r} any more: plant another fault")
        (tree / file).write_text(text.replace(old, new))
        try:
            look(tools, tree, is_asked="/metric" in new)
        except Fault as fault:
            return str(fault)
    return ""


def main():
    enter_environment(HOME.with_name("deploy-python"), HERE / "requirements.txt")
    from faults import PLANTED
    from tools import Fault, Tools

    HOME.mkdir(parents=True, exist_ok=True)
    tools = Tools()
    try:
        look(tools, ROOT)
    except Fault as fault:
        print(fault)
        return 1
    print("all that deploys it is as it must be", flush=True)
    missed = 0
    for file, old, new, words in PLANTED:
        said = said_of(tools, file, old, new)
        if words not in said:
            missed += 1
            print(f"NOT found: {new!r} in {file}; said was {said!r}", flush=True)
    print(f"{len(PLANTED) - missed} of {len(PLANTED)} planted faults are found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
