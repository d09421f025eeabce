"""What the tests look with: Chromium, Playwright, which drives it, and axe, which finds what people with disabilities stumble over."""

import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "soak"))
from parts import ROOT, TARGET, World, configuration, enter_environment, promoter_id  # noqa: E402, F401

HERE = Path(__file__).resolve().parent
HOME = TARGET / "browser"
AXE = "4.14.1"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# It calls nobody by itself. CI and containers run it as root, which its sandbox does not take; it sees our own pages only.
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync", "--disable-background-networking",
         "--disable-component-update")


def chromium():
    found = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if not found or not shutil.which("npm"):
        raise SystemExit("install Chromium and npm (Debian: apt install chromium npm)")
    return found


def axe():
    """Its source, which the page's own policy would not let in: the browser's tools carry it."""
    source = HOME / f"axe-{AXE}" / "node_modules" / "axe-core" / "axe.min.js"
    if not source.exists():
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]
        subprocess.run([*command, HOME / f"axe-{AXE}", f"axe-core@{AXE}"], check=True)
    return source.read_text()


class Fault(Exception):
    """What is wrong, in words that name it."""
