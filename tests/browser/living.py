"""It goes on by itself: without a reload, without taking away what somebody does there, and it says when it can't."""

from looks import NOBODY, must_please_axe
from tools import Fault
from visit import PHONE

STALE = "getComputedStyle(document.querySelector('#stale')).display !== 'none'"
# Somebody reads the last columns on a phone, has come there by the keyboard, and copies the name of the first note.
BEGIN = """() => {
  window.mark = true;
  const section = document.querySelector('section[aria-labelledby=fresh]');
  section.focus();
  section.scrollLeft = 60;
  getSelection().selectAllChildren(document.querySelector('section[aria-labelledby=notes] strong'));
}"""
STAYS = """() => ({
  'the page': String(window.mark), 'the focus': document.activeElement.getAttribute('aria-labelledby'),
  'what is scrolled': document.querySelector('section[aria-labelledby=fresh]').scrollLeft, 'the selection': getSelection().toString(),
})"""


def without_reload(browser):
    with browser.visit("/", PHONE) as visit:
        visit.page.evaluate(BEGIN)
        before = visit.page.evaluate(STAYS)
        if before["what is scrolled"] != 60 or not before["the selection"]:
            raise Fault(f"nothing can be scrolled or selected: {before}")
        for _ in range(2):
            visit.wait_for_news()
        after = visit.page.evaluate(STAYS)
        lost = [what for what, value in before.items() if after[what] != value]
        if lost:
            raise Fault(f"lost when it comes up to date: {', '.join(lost)}")


def while_nobody_answers(browser):
    """Old numbers are told to be old, to everybody."""
    target = browser.stage.front.target
    with browser.visit() as visit:
        if visit.page.evaluate(STALE):
            raise Fault("it says that it is not live, and is")
        browser.stage.front.target = None
        try:
            visit.wait_for("it says that it is not live", lambda: visit.page.evaluate(STALE))
            must_please_axe(visit, "a page that is not live")
        finally:
            browser.stage.front.target = target
        visit.wait_for("it is live again", lambda: not visit.page.evaluate(STALE))
        visit.wait_for_news()


def of_nobody_known(browser):
    """A promoter who is not there is an answer, too."""
    with browser.visit(NOBODY) as visit:
        for _ in range(2):
            visit.wait_for_news()
