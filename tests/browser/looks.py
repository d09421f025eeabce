"""What people see of it, and those who can't see: axe, the width of a phone, and the ids that a switch hides."""

from stage import APP
from tools import Fault, axe, promoter_id
from visit import DESKTOP, PHONE

PROMOTER = f"/promoter?key={APP}/{promoter_id(1)}"
NOBODY = "/promoter?key=nobody"
# All that axe knows, what is only good practice, too.
AXE = "axe.run(document, { resultTypes: ['violations'] }).then(found => found.violations.map(one =>" \
      " one.id + ' (' + one.help + '): ' + one.nodes.map(node => node.target.join(' ')).join(', ')))"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Whatever can be read: the text that is not hidden, and the fields that do not mask what stands in them.
READABLE = """() => document.title + ' ' + document.body.innerText + ' ' + [...document.querySelectorAll('input')]
  .filter(input => input.type !== 'password' && getComputedStyle(input).webkitTextSecurity === 'none').map(input => input.value)
  .join(' ')"""


def must_please_axe(visit, what):
    visit.page.evaluate(axe())
    found = visit.page.evaluate(AXE)
    if found:
        raise Fault(f"axe finds of {what}: {'; '.join(found)}")


def for_everybody(browser, paths=("/", PROMOTER, NOBODY)):
    """In both colours, at both widths."""
    for path in paths:
        for colours in ("light", "dark"):
            for size in (PHONE, DESKTOP):
                with browser.visit(path, size, colours) as visit:
                    must_please_axe(visit, f"{path} {colours} at {size[0]}")
                    wider = visit.page.evaluate(OVERFLOW)
                    if wider:
                        raise Fault(f"{path} is {wider} pixels wider than {size[0]}")


def must_hide_ids(visit):
    shown = visit.page.evaluate(READABLE)
    place = shown.find("oSimulated")
    if place >= 0:
        raise Fault(f"an id is not hidden: … {shown[max(place - 60, 0):place + 40]} …")


def of_nobody(browser, paths=("/", PROMOTER)):
    """Ids are there to be seen, and hidden by the switch: at once, as the page goes on, and when it is opened again."""
    for path in paths:
        with browser.visit(path) as visit:
            if "oSimulated" not in visit.page.evaluate(READABLE):
                raise Fault(f"{path} shows no id that could be hidden")
            visit.page.focus("#hide")
            visit.page.keyboard.press("Space")
            must_hide_ids(visit)
            visit.wait_for_news()
            must_hide_ids(visit)
            visit.page.reload()
            must_hide_ids(visit)
            visit.page.focus("#hide")
            visit.page.keyboard.press("Space")
            if "oSimulated" not in visit.page.evaluate(READABLE):
                raise Fault(f"{path} shows no id any more")
