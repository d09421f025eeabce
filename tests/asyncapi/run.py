#!/usr/bin/env python3
"""The document of `schemas asyncapi`, read by AsyncAPI's own parser, and each Avro schema in it by avsc.

    python3 tests/asyncapi/run.py

Every configuration below must give a document in which it finds nothing wrong. Then faults are planted in it, one at a time, and it fails
where one is not found. Needs Rust, Python 3.11 and npm, and takes a minute beside the build. PROMOTER_BINARIES names a directory, laid out as
target/debug is, whose connector is taken instead of building it.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "soak"))

from parts import TARGET, binaries  # noqa: E402

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
    "without requests": PLAIN + "[commands]\nenabled = false\n",
    "PLAIN": SECURED.format(mechanism="PLAIN"),
    "SCRAM": SECURED.format(mechanism="SCRAM-SHA-512"),
}


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


def main():
    HOME.mkdir(parents=True, exist_ok=True)
    for name in ["package.json", "validate.mjs"]:
        shutil.copy(HERE / name, HOME)
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"], cwd=HOME, check=True)
    connector = binaries(release=False) / "promoter-connector"
    failed = []
    for name, configuration in CONFIGURATIONS.items():
        is_valid, said = judged(document(connector, configuration))
        print(f"{name}: {said}", flush=True)
        if not is_valid:
            failed.append(name)
    for fault in FAULTS:
        broken = document(connector, CONFIGURATIONS["SCRAM"])
        fault(broken)
        is_valid, said = judged(broken)
        print(f"planted {fault.__name__}: {'NOT FOUND' if is_valid else said.splitlines()[0]}", flush=True)
        if is_valid:
            failed.append(fault.__name__)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
