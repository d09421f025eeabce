"""By the keyboard alone: everything is reached in order, is seen to be, and acts."""

import re
import time

from stage import APP
from tools import Fault, promoter_id

PROMOTER = f"{APP}/{promoter_id(1)}"
WAYS = {
    "/": ["key", "Explain", "hide", "fresh", "quota"],
    f"/promoter?key={PROMOTER}": ["key", "Explain", "hide", "back to the whole", "promoter", "token", "Pause", "Resume", "rewind-feed",
                                  "rewind-to", "rewind-republish", "Show what it costs", "Rewind"],
}
# What has the focus, and whether that is seen; nothing where the browser itself has it.
FOCUS = """() => {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const style = getComputedStyle(element), place = element.getBoundingClientRect();
  const isSeen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 && place.bottom > 0 && place.top < innerHeight;
  return [element.id || element.getAttribute('aria-labelledby') || element.innerText, isSeen];
}"""
KEPT = "JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, document.body.innerText])"
STEPS_MAX = 30
WRITTEN = "a rewind is written over the admin port"


def focused(visit):
    return visit.page.evaluate(FOCUS) or ["", True]


def in_order(browser):
    for path, wanted in WAYS.items():
        with browser.visit(path) as visit:
            way = []
            for _ in wanted:
                visit.page.keyboard.press("Tab")
                name, is_seen = focused(visit)
                way.append(name)
                if not is_seen:
                    raise Fault(f"{path}: nobody sees that the focus is at {name}")
            visit.page.keyboard.press("Tab")
            if way != wanted or focused(visit)[0] not in ("", wanted[0]):
                raise Fault(f"{path}: Tab goes {way}, then to {focused(visit)[0]!r}, and must go {wanted}")


def go_to(visit, name, key="Tab"):
    for _ in range(STEPS_MAX):
        if focused(visit)[0] == name:
            return
        visit.page.keyboard.press(key)
    raise Fault(f"{key} does not lead to {name}")


def write(visit, name, text):
    go_to(visit, name)
    visit.page.keyboard.press("Control+a")
    visit.page.keyboard.type(text)


def press(visit, name, wanted):
    """The button of that name, which has to be answered by what matches."""
    go_to(visit, name)
    visit.page.keyboard.press("Enter")
    told = lambda: visit.page.inner_text("#change-outcome")  # noqa: E731
    visit.wait_for(f"{name} is answered", lambda: told() not in ("", "under way …"), 60)
    if not re.match(wanted, told()):
        raise Fault(f"{name} is answered {told()!r} and not {wanted!r}")
    if focused(visit)[0] != name:
        raise Fault(f"{name} has lost the focus")


def to_a_promoter_and_back(browser):
    with browser.visit() as visit:
        write(visit, "key", PROMOTER)
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_url("**/promoter?*")
        if visit.page.inner_text("#promoter") != PROMOTER:
            raise Fault("it explains somebody else")
        go_to(visit, "back to the whole")
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_url(f"{visit.url}/")


def paused_by(browser):
    return browser.stage.ask(f"/api/v1/promoters/{PROMOTER}").get("paused_by")


def changed_by_its_forms(browser):
    """Who has no token, or another one, is told so, and changes nothing; who has it changes what he says, and is told."""
    browser.stage.resume(PROMOTER)
    with browser.visit(f"/promoter?key={PROMOTER}") as visit:
        visit.wait_for("he is polled", lambda: not paused_by(browser))
        press(visit, "Pause", "401: send the token")
        write(visit, "token", "another-token")
        press(visit, "Pause", "401: this is not the token")
        if paused_by(browser):
            raise Fault("whoever has no token pauses a promoter")
        write(visit, "token", browser.stage.token)
        press(visit, "Pause", "paused$")
        visit.wait_for("it shows that he is paused", lambda: any("paused by" in line for line in visit.read()["lines"]))
        if not paused_by(browser):
            raise Fault("it says that he is paused, and he is not")
        press(visit, "Resume", "resumed$")
        visit.wait_for("he is polled again", lambda: not paused_by(browser))
        rewound(browser, visit)
        kept = visit.page.evaluate(KEPT)
        if browser.stage.token in kept:
            raise Fault(f"the token is kept elsewhere than in its field: {kept}")


def day_in_beijing(ago):
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() + 8 * 3600 - ago * 24 * 3600))


def rewound(browser, visit):
    """Orders are read by days, and their memory reaches further back than that day."""
    log = browser.stage.world.children["one"]
    before = log.text().count(WRITTEN)
    go_to(visit, "rewind-feed")
    visit.page.keyboard.press("ArrowDown")
    write(visit, "rewind-to", "yesterday")
    press(visit, "Show what it costs", "400: to: ")
    write(visit, "rewind-to", day_in_beijing(ago=2))
    press(visit, "Show what it costs", "nothing was changed: cursor .* → .* days, .* calls or more")
    if log.text().count(WRITTEN) != before:
        raise Fault("a question what it costs rewinds")
    press(visit, "Rewind", "written: cursor .* → ")
    if log.text().count(WRITTEN) != before + 1 or '"feed":"orders"' not in log.text().split(WRITTEN)[-1].splitlines()[0]:
        raise Fault("it says that it has rewound the orders, and has not")
