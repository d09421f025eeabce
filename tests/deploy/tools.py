"""The programs that look at the files, at pinned versions: those of Go are built once, those of Python live in an environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "soak"))
from parts import ROOT, TARGET, enter_environment  # noqa: E402, F401

HERE = Path(__file__).resolve().parent
HOME = TARGET / "deploy"
HELM = "helm.sh/helm/v3/cmd/helm@v3.22.0"
KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.8.2"
# Reads a compose file as docker compose does.
COMPOSE = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"
# The newest Kubernetes that kubernetes-validate has the schemas of.
KUBERNETES = "1.37"


def go_program(module, name):
    """The path of the program that Go builds from `module`, in which it is called `name`."""
    home = HOME / "tools" / module.replace("/", "_")
    if not (home / name).exists():
        print(f"building {module}", flush=True)
        subprocess.run(["go", "install", module], check=True, env={**os.environ, "GOBIN": str(home)})
    return home / name


def reader(name):
    """The program in the directory of that name, which reads one kind of document by its makers' own types."""
    program = HOME / name
    subprocess.run(["go", "build", "-o", program, "."], cwd=HERE / name, check=True)
    return program


def connector():
    subprocess.run(["cargo", "build", "--quiet", "--bin", "promoter-connector"], cwd=ROOT, check=True)
    return TARGET / "debug" / "promoter-connector"


class Tools:
    def __init__(self):
        missing = [name for name in ("go", "cargo", "systemd-analyze", "promtool") if not shutil.which(name)]
        if missing:
            raise SystemExit(f"{' and '.join(missing)} missing: install Go 1.26, Rust, systemd 250 and Prometheus 2.42, or later")
        self.helm, self.kustomize = go_program(HELM, "helm"), go_program(KUSTOMIZE, "kustomize")
        self.compose = go_program(COMPOSE, "cmd")
        self.hadolint = Path(sys.prefix) / "bin" / "hadolint"
        # Kubernetes itself has no schema of a ServiceMonitor, and nobody has Grafana by a package.
        self.servicemonitor, self.dashboard = reader("servicemonitor"), reader("dashboard")
        self.connector = connector()


def output(*command, **how):
    """What a command prints, or the fault that it finds."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **how)
    if done.returncode != 0:
        raise Fault((done.stdout + done.stderr).strip())
    return done.stdout


class Fault(Exception):
    """What is wrong, in words that name it."""
