"""Faults that are planted in the page, one at a time: each of them has to be found, or the checks check nothing."""

from typing import NamedTuple

import keyboard
import living
import looks
import values
from stage import APP, PROMOTERS
from tools import Fault, promoter_id


def values_of_status(browser):
    with browser.visit() as visit:
        values.of_status(browser, visit)


def values_of_promoters(browser):
    for number in (1, PROMOTERS):
        with browser.visit(f"/promoter?key={APP}/{promoter_id(number)}") as visit:
            values.of_promoter(browser, visit, number)


# What is checked while the connector is well, the quickest first.
CHECKS = {
    "what it shows": values_of_status,
    "what it shows of a promoter": values_of_promoters,
    "the order of the keyboard": keyboard.in_order,
    "the keyboard alone": keyboard.to_a_promoter_and_back,
    "its forms": keyboard.changed_by_its_forms,
    "the switch": looks.of_nobody,
    "without a reload": living.without_reload,
    "nobody answers": living.while_nobody_answers,
    "nobody of that name": living.of_nobody_known,
    "for everybody": looks.for_everybody,
}


class Planted(NamedTuple):
    # One of CHECKS, and what it has to say.
    check: str
    words: str
    # What stands in the answer of a path, and is changed into what.
    path: str
    old: str
    new: str


OUTSIDE = "http://127.0.0.2:9/x.png"
KEEP = 'localStorage.setItem("token", document.querySelector("#token").value);'
PLANTED = [
    Planted("what it shows", "headline", "/", "✓ well", "✓ good"),
    Planted("what it shows", "title", "/", "<title>✓", "<title>▲"),
    Planted("what it shows", "causes", "/", "<dt>affects</dt><dd>", "<dt>affects</dt><dd>not "),
    Planted("what it shows", "causes", "/", "· parked", "✗ parked"),
    Planted("what it shows", "feeds", "/", "<td>touches</td>", "<td>orders</td>"),
    Planted("what it shows", "feeds", "/", '<span class="well">✓ ', '<span class="well">✓ 1'),
    Planted("what it shows", "quota", "/", "<td>getorder</td><td>", "<td>getorder</td><td>9"),
    Planted("what it shows", "kafka", "/", "✓ answers", "✗ does not answer"),
    Planted("what it shows", "kafka", "/", " polled here, 0", " polled here, 1"),
    Planted("what it shows", "parked", "/", "touches is parked", "touches is well"),
    Planted("what it shows", "dead_letters", "/", "since the start</h2><dl><dt>", "since the start</h2><dl><dt>not "),
    Planted("what it shows", "dead_letters", "/page.css", "ul {", "section[aria-labelledby=dead] dd { display: none } ul {"),
    Planted("what it shows of a promoter", "lines", "/promoter", "named by", "not named by"),
    Planted("what it shows of a promoter", "progress", "/promoter", "<td>touches</td>", "<td>orders</td>"),
    Planted("what it shows", "the console has: odd", "/page.js", '"use strict";', 'console.error("odd");'),
    Planted("what it shows", "a script fails", "/page.js", '"use strict";', "setTimeout(() => nothing.here);"),
    Planted("what it shows", "its policy forbids: style-src", "/", "<body>", '<body style="margin: 0">'),
    Planted("what it shows", "its policy forbids: img-src", "/", "<body>", f'<body><img alt="" src="{OUTSIDE}">'),
    Planted("what it shows", f"it asks another origin: {OUTSIDE}", "/page.js", '"use strict";', f'setTimeout(() => location.assign("{OUTSIDE}"));'),
    Planted("the order of the keyboard", "Tab goes", "/", 'aria-labelledby="fresh" tabindex="0"', 'aria-labelledby="fresh"'),
    Planted("the order of the keyboard", "nobody sees", "/page.css", "outline: 3px", "outline: 0px"),
    Planted("the keyboard alone", "does not lead to back to the whole", "/promoter", '<a href="/">', "<a>"),
    Planted("its forms", "'resumed$'", "/promoter", 'data-change="resume"', 'data-change="pause"'),
    Planted("its forms", "is answered '401", "/page.js", '"Bearer " +', '"Bearer x" +'),
    Planted("its forms", "is answered 'written", "/promoter", 'data-dry-run="true"', 'data-dry-run="false"'),
    Planted("its forms", "the token is kept", "/page.js", '"under way …";', f'"under way …"; {KEEP}'),
    Planted("its forms", "has lost the focus", "/page.js", 'change.ariaBusy = "true";', "button.blur();"),
    Planted("the switch", "an id is not hidden", "/page.css", ".hides-ids .id { display: none; }", ""),
    Planted("the switch", "an id is not hidden", "/page.css", "-webkit-text-security", "--no-security"),
    Planted("the switch", "an id is not hidden", "/page.js", 'localStorage.getItem("hides-ids") === "yes"', "false"),
    Planted("without a reload", "it comes up to date", "/page.js", "EVERY = 2000", "EVERY = 2000000"),
    Planted("without a reload", "navigation", "/page.js", "document.title = next.title;", "location.reload();"),
    Planted("nobody answers", "it says that it is not live", "/page.js", "OLD = 10000", "OLD = 10000000"),
    Planted("without a reload", "what is scrolled, the selection", "/page.js", "update(shown, content)",
            "shown.replaceChildren(...content.childNodes)"),
    Planted("nobody of that name", "it comes up to date", "/page.js", " && answer.status !== 404", ""),
    Planted("nobody answers", "color-contrast", "/page.css", ".not-live main {", ".not-live main { opacity: 0.3;"),
    Planted("nobody answers", "it says that it is not live, and is", "/page.css", "#stale { display: none;", "#stale {"),
    Planted("for everybody", "html-has-lang", "/", ' lang="en"', ""),
    Planted("for everybody", "label", "/promoter", 'for="token"', 'for="nothing"'),
    Planted("for everybody", "/ light at 360", "/page.css", "--quiet: #57606a", "--quiet: #b7b7b7"),
    Planted("for everybody", "/ dark at 360", "/page.css", "--quiet: #9da7b3", "--quiet: #404040"),
    Planted("for everybody", "wider than 360", "/page.css", "h1 {", "h1 { min-width: 30rem;"),
]


def said_of(browser, planted):
    """What the check says of a page with that fault; nothing where it finds none."""
    met = []

    def alter(path, headers, body):
        text = body.decode()
        if path.partition("?")[0] != planted.path or planted.old not in text:
            return headers, body
        met.append(path)
        return headers, text.replace(planted.old, planted.new).encode()

    # Of a fault it is enough to be met.
    browser.stage.front.alter, browser.patience = alter, 2
    try:
        CHECKS[planted.check](browser)
    except Fault as fault:
        return str(fault)
    finally:
        browser.stage.front.alter = lambda path, headers, body: (headers, body)
        del browser.patience
        if not met:
            raise SystemExit(f"{planted.path} has no {planted.old!r} any more: plant another fault")
    return ""
