"""The unit of systemd: read by systemd itself, and its commands and its configuration by the program."""

import tempfile
from pathlib import Path

from programs import SECRETS, check_offline, must_be_a_command
from tools import Fault, output

INSTALLED = "/usr/local/bin/promoter-connector"
# Of ten, as systemd-analyze counts it; the exposure that is left is that it calls others.
EXPOSURE_MAX = 1.3
WANTED = {
    "Type": ["notify"],
    "DynamicUser": ["yes"],
    "ProtectSystem": ["strict"],
    "Restart": ["on-failure"],
    "RestartPreventExitStatus": ["2"],
    "TimeoutStopSec": ["60"],
    "ExecStartPre": [f"{INSTALLED} check --offline"],
    "ExecStart": [f"{INSTALLED} run"],
    "LoadCredential": [f"{name}:/etc/promoter-connector/{name}" for name in SECRETS],
}


def must_be_good(tools, deploy):
    unit, settings = deploy / "systemd" / "promoter-connector.service", {}
    for line in unit.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            settings.setdefault(key, []).append(value)
    for key, expected in WANTED.items():
        if settings.get(key) != expected:
            raise Fault(f"unit: {key} is {settings.get(key)} and must be {expected}")
    if "WatchdogSec" not in settings:
        raise Fault("unit: it has no watchdog")
    for key in ("ExecStartPre", "ExecStart"):
        must_be_a_command(tools, f"unit: {key}", settings[key][0].split()[1:])
    by_systemd(tools, unit)
    with tempfile.TemporaryDirectory() as directory:
        for name in SECRETS:
            (Path(directory) / name).write_text("secret\n")
        path = deploy / "systemd" / "connector.toml"
        check_offline(tools, "unit: its configuration", path, {"CREDENTIALS_DIRECTORY": directory})


def by_systemd(tools, unit):
    """It looks whether each program can be run: here it is where it was built."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / unit.name
        copy.write_text(unit.read_text().replace(INSTALLED, str(tools.connector)))
        # Without manual pages: whether this machine has any says nothing of the unit. It warns of unknown settings, and ends with 0.
        warned = output("sh", "-c", 'systemd-analyze verify --man=no "$1" 2>&1', "verify", copy).strip()
        if warned:
            raise Fault(f"unit: {warned}")
        threshold = round(EXPOSURE_MAX * 10)
        output("systemd-analyze", "security", "--offline=true", f"--threshold={threshold}", copy)
