"""Classes of the schemas, generated and compiled in each language, and the command of a reader that was built with them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from parts import TARGET

HERE = Path(__file__).resolve().parent
HOME = TARGET / "generated"
AVROGEN = "github.com/hamba/avro/v2/cmd/avrogen@v2.31.0"
TSC = Path("node_modules", ".bin", "tsc")
# What has to be there to build one.
PROGRAMS = {"java": ["java", "mvn"], "python": [], "go": ["go"], "typescript": ["node", "npm"]}
# In TypeScript bytes are no JSON.
BYTES = {"DeadLetter": {"raw"}, "MaterialResult": {"qrcode"}}


def build(language, schemas):
    """Of the schemas in a directory; what is run, before the reader's arguments."""
    home = HOME / language
    shutil.copytree(HERE / language, home, dirs_exist_ok=True)
    shutil.rmtree(home / "schemas", ignore_errors=True)
    shutil.copytree(schemas, home / "schemas")
    # Named one by one: below them stand the released ones, which have the same names.
    files = sorted(str(path.relative_to(home)) for path in (home / "schemas").glob("*.avsc"))
    return {"java": java, "python": python, "go": go, "typescript": typescript}[language](home, files)


def run(*command, cwd, limit=600):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=limit)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def java(home, _):
    run("mvn", "-q", "-B", "-Dstyle.color=never", "clean", "package", cwd=home)
    # From 1.12.2 on Avro reads into no class that it is not told to trust.
    trusted = "-Dorg.apache.avro.SERIALIZABLE_PACKAGES=promoter"
    options = ["-Xmx256m", "-XX:+UseSerialGC", trusted, f"-Djava.io.tmpdir={home}/target"]
    return ["java", *options, "-cp", f"{home}/target/records.jar:{home}/target/lib/*", "Read"]


def python(home, files):
    run(sys.executable, "generate.py", "promoter.py", *files, cwd=home)
    return [sys.executable, home / "read.py"]


def go(home, files):
    (home / "promoter").mkdir(exist_ok=True)
    run("go", "run", AVROGEN, "-pkg", "promoter", "-o", "promoter/records.go", *files, cwd=home)
    run("go", "build", "-o", "read", ".", cwd=home)
    return [home / "read"]


def typescript(home, files):
    run("npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", cwd=home)
    run("node", "generate.mjs", "generated", *files, cwd=home)
    run(home / TSC, cwd=home)
    return ["node", home / "built" / "read.js"]


def typed(lines):
    """For each kind of record what tsc says first of its records where they are written down as values of the generated type. Types are
    gone when a program runs, so no reader is wrong by them."""
    home = HOME / "typescript"
    shutil.rmtree(home / "literals", ignore_errors=True)
    (home / "literals").mkdir()
    for name, records in lines.items():
        literals = "".join(f"take({literal(record, BYTES.get(name, set()))});\n" for record in records)
        head = f'import {{ Promoter as Of }} from "../generated/{name}.js";\nfunction take(_: Of.{name}) {{}}\n'
        (home / "literals" / f"{name}.ts").write_text(head + literals)
    done = subprocess.run([home / TSC, "-p", "tsconfig.literals.json", "--pretty", "false"], cwd=home, capture_output=True, text=True, timeout=600)
    said = re.findall(r"^literals/(\w+)\.ts\((?:.*?)\): (.*)$", done.stdout, re.MULTILINE)
    if done.returncode != 0 and not said:
        raise SystemExit(f"tsc ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    first = dict.fromkeys(lines, "")
    return first | dict(reversed(said))


def literal(record, of_bytes):
    def value(name, content):
        text = json.dumps(content)
        return f'Buffer.from({text}, "base64")' if name in of_bytes and content is not None else text

    return "{" + ", ".join(f"{json.dumps(name)}: {value(name, content)}" for name, content in record.items()) + "}"
