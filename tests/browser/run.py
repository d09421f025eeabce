#!/usr/bin/env python3
"""The status page in a real browser, of a real connector, whatever happens to that.

    python3 tests/browser/run.py [--pictures]

Starts a real Kafka, the simulated upstream and the connector, and looks at the page in headless Chromium while the connector is well,
refused by the upstream, late, without Kafka, and restoring. What the page shows must be what /api/v1/status and the other paths say;
axe must find nothing in light and dark, on a phone and a desktop; it goes on without a reload and says when it can't; all of it works
by the keyboard alone, its forms with the token and not without; no script fails, nothing is asked of another origin, and a switch hides
ids. Then it plants faults in the page, one at a time, and fails where one is not found. With --pictures it draws those of docs/.

Needs Rust, Java 17 or later, Maven, Python 3.11, npm and Chromium (Debian: apt install chromium npm). It takes about ten minutes.
"""

import argparse
import io
import sys
import time

from tools import HERE, HOME, ROOT, enter_environment

COLOURS = 64


def looked_at(browser, visit, name, pictures):
    """What it shows is so, for everybody; and a picture of it."""
    import looks
    import values

    values.of_status(browser, visit)
    looks.for_everybody(browser, ["/"])
    if pictures:
        draw(visit, ROOT / "docs" / f"status-{name}.png")
    print(f"{name}: it is as it must be", flush=True)


def draw(visit, path):
    """In few colours: a page has no more."""
    from PIL import Image

    picture = Image.open(io.BytesIO(visit.page.screenshot()))
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def scenes(browser, pictures):
    """One window stays open all the time."""
    import looks
    import values

    stage = browser.stage
    with browser.visit() as visit:
        stage.be_well()
        looked_at(browser, visit, "well", pictures)
        stage.be_stopped()
        looked_at(browser, visit, "stopped", False)
        stage.be_served_again()
        stage.be_late()
        looked_at(browser, visit, "late", pictures)
        looks.of_nobody(browser, ["/"])
        stage.be_served_again()
        stage.be_restoring()
        looked_at(browser, visit, "restoring", False)
        stage.be_with_kafka_again()
        stage.be_without_kafka()
        looked_at(browser, visit, "kafka-away", pictures)
        stage.be_with_kafka_again()
        values.of_status(browser, visit)


def run(browser, pictures):
    """Whether all is well: what is wrong is printed."""
    from faults import CHECKS, PLANTED, said_of
    from tools import Fault

    try:
        browser.stage.begin()
        browser.stage.be_well()
        for name, check in CHECKS.items():
            check(browser)
            print(f"{name}: it is as it must be", flush=True)
        missed = [planted for planted in PLANTED if planted.words not in said_of(browser, planted)]
        for planted in missed:
            print(f"NOT found: {planted}; said was {said_of(browser, planted)!r}", flush=True)
        print(f"{len(PLANTED) - len(missed)} of {len(PLANTED)} planted faults are found", flush=True)
        # Behind the faults: a connector that has restored has met no dead letters yet.
        scenes(browser, pictures)
    except Fault as fault:
        print(fault)
        return False
    return not missed


def main():
    enter_environment(HOME / "python", HERE / "requirements.txt")
    from playwright.sync_api import sync_playwright
    from stage import Stage
    from visit import Browser

    parser = argparse.ArgumentParser(description="The status page in a real browser.")
    parser.add_argument("--pictures", action="store_true", help="draw those of docs/")
    pictures = parser.parse_args().pictures
    directory = HOME / time.strftime("%Y%m%d-%H%M%S")
    directory.mkdir(parents=True)
    stage = Stage(directory)
    try:
        with sync_playwright() as playwright:
            browser = Browser(playwright, stage)
            is_well = run(browser, pictures)
            browser.end()
    finally:
        stage.end()
    print("the page is as it must be" if is_well else "the page is NOT as it must be")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
