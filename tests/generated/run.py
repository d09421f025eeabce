#!/usr/bin/env python3
"""Classes that others generate from schemas/*.avsc, in Java, Python, Go and TypeScript, read every field of every record in both framings.

    python3 tests/generated/run.py                  # some two minutes once what it needs is fetched, four from a clean clone
    python3 tests/generated/run.py --only go,java

Starts a real Kafka, a real schema registry, the simulated upstream, and the connector twice: once with the registry, once without it. Reads
all topics as bytes, and has them decoded by a program in each language that knows the schemas by its generated classes alone. What it
finds in each field must be what fastavro finds by the schemas themselves; orders are decoded by the lines that docs/consuming.md shows. Then the classes are generated from schemas with planted faults, and it fails where one is not found.

Needs Rust, Java 17, Maven, Go 1.26, Node 20 with npm, and Python 3.11, or later; packages are installed below target/. PROMOTER_BINARIES names
a directory, laid out as target/debug is, whose connector and broker are taken instead of building them.
"""

import argparse
import json
import random
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "soak"), str(HERE.parents[1] / "examples" / "checking")]
from page import must_stand_in  # noqa: E402
from parts import ROOT, TARGET, carry_out, tell  # noqa: E402

LANGUAGES = ("java", "python", "go", "typescript")
# What docs/consuming.md shows of each: so orders are decoded here.
SHOWN = (
    ("**Java**", "java", "java/src/main/java/Read.java"),
    ("**Python**", "python", "python/read.py", "python/generate.py"),
    ("**Go**", "go", "go/main.go"),
    ("**TypeScript**", "ts", "typescript/read.ts"),
)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=known, default=LANGUAGES, metavar="NAMES", help=f"of {', '.join(LANGUAGES)}; separated by commas")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="of the world")
    parser.add_argument("--release", action="store_true", help="the optimised connector")
    return parser.parse_args()


def known(names):
    """Those of a list, of which each has to be known."""
    if strange := [name for name in names.split(",") if name not in LANGUAGES]:
        raise argparse.ArgumentTypeError(f"{', '.join(strange)}: choose from {', '.join(LANGUAGES)}")
    return names.split(",")


def run(options, world):
    # Their packages are there only within the environment.
    from languages import PROGRAMS
    from records import publish
    from reference import Reference

    for heading, language, file, *more in SHOWN:
        must_stand_in(HERE / file, heading, language, [HERE / each for each in more])
    missing = [name for language in options.only for name in PROGRAMS[language] if not shutil.which(name)]
    if missing:
        raise SystemExit(f"{' and '.join(missing)} missing")
    found, registry = publish(world, options.seed)
    reference = Reference(found, registry)
    if unseen := reference.unseen():
        raise SystemExit(f"no record has {unseen}")
    write(world, found)
    planted = plant(world)
    good = [is_good for language in options.only for is_good in tried(world, language, reference, planted)]
    return all(good)


def write(world, found):
    """What the readers get: values with their lengths in front, and the fingerprints as the connector prints them."""
    for framing, records in found.items():
        directory = world.directory / "records" / framing
        directory.mkdir(parents=True)
        for name, values in records.items():
            data = b"".join(struct.pack(">I", len(value)) + value for value in values)
            (directory / f"{name}.bin").write_bytes(data)
    command = [world.binary, "--config", world.directory / "single.toml", "schemas", "list", "--json"]
    listed = map(json.loads, subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout.splitlines())
    fingerprints = {each["record"].removeprefix("promoter."): each["single_object"] for each in listed}
    (world.directory / "records" / "fingerprints.json").write_text(json.dumps(fingerprints))


def plant(world):
    """A directory with all faults in its schemas."""
    from faults import PLANTED

    files = {path.name: json.loads(path.read_text()) for path in (ROOT / "schemas").glob("*.avsc")}
    schemas = {schema["name"]: schema for schema in files.values()}
    for fault, _, _ in PLANTED:
        fault(schemas)
    directory = world.directory / "planted"
    directory.mkdir()
    for file, schema in files.items():
        (directory / file).write_text(json.dumps(schema))
    return directory


def tried(world, language, reference, planted):
    """Whether each verdict is as it has to be: nothing is wrong by the schemas, and of those with faults each fault is."""
    from faults import PLANTED

    began = time.monotonic()
    wrong = {place: said for place, said in differences(world, language, ROOT / "schemas", reference).items() if said}
    count = sum(map(len, reference.lines.values()))
    yield tell(not wrong, f"{language}: {count} records, {wrong or 'no difference'}, after {time.monotonic() - began:.0f} s")

    found = differences(world, language, planted, reference)
    faults = {name: (fault.__name__, places) for fault, name, places in PLANTED}
    for (place, name), said in found.items():
        fault, places = faults.get(name, ("nothing", ()))
        is_good = bool(said) == (place in places)
        if places or not is_good:
            tell(is_good, f"{language}, planted {fault}, {place} {name}: {said[:150] or 'no difference'}")
        yield is_good


def differences(world, language, schemas, reference):
    """Between what the classes of those schemas read and the reference, by framing and record; "types" are what tsc says of TypeScript's."""
    from languages import build, typed
    from reference import difference

    out = world.directory / language / schemas.name
    out.mkdir(parents=True)
    command = [*build(language, schemas), world.directory / "records", out, reference.registry]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if answer.returncode != 0:
        raise SystemExit(f"{language} ended with {answer.returncode}:\n{answer.stdout}{answer.stderr}")
    found = {}
    for (framing, name), lines in reference.lines.items():
        read = (out / framing / f"{name}.jsonl").read_text().splitlines()
        found[framing, name] = difference(lines, list(map(json.loads, read)))
    if language == "typescript":
        lines = {name: lines for (framing, name), lines in reference.lines.items() if framing == "single"}
        found |= {("types", name): said for name, said in typed(lines).items()}
    return found


if __name__ == "__main__":
    environment = (TARGET / "generated-python", HERE / "requirements.txt")
    sys.exit(carry_out("generated", arguments, run, ["single", "confluent"], ("every field is read in each language that was tried", "NOT every field"), environment))
