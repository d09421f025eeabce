#!/usr/bin/env python3
"""The document of `schemas asyncapi`, read by AsyncAPI's own parser, and each Avro schema in it by avsc.

    python3 tests/asyncapi/run.py                       # a minute
    python3 tests/asyncapi/run.py --plant other_action  # must fail: a document that has to be valid has the fault

Every configuration below must give a document in which it finds nothing wrong. Then faults are planted in it, one at a time, and it fails
where one is not found. Needs Rust, Python 3.11 or later, and Node 20 with npm; what it installs is below target/. PROMOTER_BINARIES names a directory, laid
out as target/debug is, whose connector is taken instead of building it.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "soak"))

from parts import TARGET, binaries, conclude, tell, tell_wrong  # noqa: E402

HOME = TARGET / "asyncapi"

PLAIN = """
[connector]
name = "promoters"
[kafka]
"bootstrap.servers" = "localhost:9092"
"""
SECURED = """
[connector]
name = "promoters"
[kafka]
"bootstrap.servers" = "one:9093,two:9093"
"security.protocol" = "sasl_ssl"
"sasl.mechanisms" = "{mechanism}"
"sasl.username" = "connector"
"sasl.password" = "secret"
[schema_registry]
url = "https://registry:8081"
"""
CONFIGURATIONS = {
    "plain": PLAIN,
    "replies elsewhere": PLAIN + '[commands]\nreply_topics = ["of.a", "of.b"]\n',
    "without requests": PLAIN + "[commands]\nenabled = false\n",
    "PLAIN": SECURED.format(mechanism="PLAIN"),
    "SCRAM": SECURED.format(mechanism="SCRAM-SHA-512"),
}
# The one in whose document faults are planted: it has all that they touch.
FAULTY = "SCRAM"


def other_action(document):
    document["operations"]["sendTouches"]["action"] = "publish"


def unknown_channel(document):
    document["operations"]["sendOrders"]["channel"]["$ref"] = "#/channels/order"


def no_avro(document):
    document["components"]["messages"]["Order"]["payload"]["schema"]["fields"][0]["type"] = "text"


def no_host(document):
    del document["servers"]["kafka-1"]["host"]


FAULTS = [other_action, unknown_channel, no_avro, no_host]


def document(connector, configuration):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "connector.toml"
        path.write_text(configuration)
        command = [connector, "--config", path, "schemas", "asyncapi"]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def judged(document):
    """Whether nothing is wrong with it, and what the parser says."""
    command = ["node", HOME / "validate.mjs"]
    done = subprocess.run(command, input=json.dumps(document), stdout=subprocess.PIPE, text=True, timeout=120)
    return done.returncode == 0, done.stdout.strip()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plant", choices=[fault.__name__ for fault in FAULTS], help="a fault that has to be found where none is looked for")
    parser.add_argument("--release", action="store_true", help="the optimised connector")
    return parser.parse_args()


def main():
    options = arguments()
    HOME.mkdir(parents=True, exist_ok=True)
    for name in ["package.json", "validate.mjs"]:
        shutil.copy(HERE / name, HOME)
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"], cwd=HOME, check=True)
    connector = binaries(options.release) / "promoter-connector"
    good = all([*are_valid(connector, options.plant), *are_found(connector)])
    tell_wrong()
    return conclude(good, ("every document is valid, and every fault is found", "NOT every document is valid, or NOT every fault is found"))


def are_valid(connector, plant):
    """Whether nothing is wrong with the document of each configuration, but for what is planted in one."""
    for name, configuration in CONFIGURATIONS.items():
        shown = document(connector, configuration)
        for fault in FAULTS:
            if fault.__name__ == plant and name == FAULTY:
                fault(shown)
        is_valid, said = judged(shown)
        yield tell(is_valid, f"{name}: {said}", "NOT every document is valid")


def are_found(connector):
    """Whether it is told of each fault that something is wrong."""
    for fault in FAULTS:
        broken = document(connector, CONFIGURATIONS[FAULTY])
        fault(broken)
        is_valid, said = judged(broken)
        yield tell(not is_valid, f"planted {fault.__name__}: {'NOT FOUND' if is_valid else said.splitlines()[0]}", "NOT every fault is found")


if __name__ == "__main__":
    sys.exit(main())
