"""The image and what docker compose runs: read by the linters, and each command of ours by the program itself."""

import shlex
import subprocess
import tempfile

import yaml
from programs import check_offline, must_be_a_command
from tools import Fault, output

# What stands before the arguments in the image.
ENTRYPOINT = ["promoter-connector"]


def must_be_good(tools, tree):
    dockerfile = tree / "Dockerfile"
    output(tools.hadolint, "--failure-threshold", "warning", dockerfile)
    instructions = dict(read_instructions(dockerfile.read_text()))
    if instructions.get("USER", "root").split(":")[0] in ("root", "0"):
        raise Fault("Dockerfile: it runs as root")
    if yaml.safe_load(instructions["ENTRYPOINT"]) != ENTRYPOINT:
        raise Fault(f"Dockerfile: ENTRYPOINT is {instructions['ENTRYPOINT']}")
    must_be_a_command(tools, "Dockerfile: CMD", yaml.safe_load(instructions["CMD"]))
    probe = instructions.get("HEALTHCHECK", "").partition("CMD")[2]
    must_be_ours(tools, "Dockerfile: HEALTHCHECK", yaml.safe_load(probe) if probe else None)
    compose(tools, tree)


def read_instructions(text):
    """Each instruction of the last stage, on one line."""
    for line in text.replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        if word.isupper() and rest:
            yield word, rest


def must_be_ours(tools, what, command):
    if not command or command[:1] != ENTRYPOINT:
        raise Fault(f"{what} is {command}")
    must_be_a_command(tools, what, command[1:])


def prometheus(tree):
    """Its configuration, with the rules where they are here."""
    text = (tree / "deploy" / "compose" / "prometheus.yml").read_text()
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write(text.replace("/etc/prometheus/alerts", str(tree / "alerts")))
        file.flush()
        output("promtool", "check", "config", file.name)


def dashboards(tools, tree):
    """Nobody draws them here: they are read by the types of Grafana's makers."""
    for path in (tree / "grafana").glob("*.json"):
        read = subprocess.run([tools.dashboard], input=path.read_text(), capture_output=True, text=True)
        if read.returncode != 0:
            raise Fault(f"{path.name}: {read.stdout.strip() or read.stderr.strip()}")


def compose(tools, tree):
    file = tree / "docker-compose.yml"
    read = yaml.safe_load(output(tools.compose, file, cwd=tree))
    for name, service in read["services"].items():
        if service.get("image") == ENTRYPOINT[0] and service.get("command"):
            must_be_a_command(tools, f"docker-compose.yml: {name}", service["command"])
        for mount in service.get("volumes", []):
            # A path that is not there would be made, as an empty directory.
            source = mount.get("source", "")
            if mount["type"] == "bind" and not (tree / source).exists():
                raise Fault(f"docker-compose.yml: {name} mounts {shlex.quote(source)}, which is not there")
        for port in service.get("ports", []):
            if port.get("host_ip") != "127.0.0.1":
                raise Fault(f"docker-compose.yml: {name} is open to others at {port['published']}")
    prometheus(tree)
    dashboards(tools, tree)
    check_offline(tools, "config/compose.toml", tree / "config" / "compose.toml", {})
