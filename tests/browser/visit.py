"""The page in a real browser: what it shows, and whatever it does that it must not."""

import contextlib
import json
import time
from urllib.parse import urlsplit

from playwright.sync_api import Error
from tools import FLAGS, Fault, chromium

PHONE, DESKTOP = (360, 740), (1100, 900)
# Seconds: it comes up to date each two, and is old after ten.
SECONDS = 20
# Before the page's own script: what its policy forbids is no error of a script.
VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", event => violations.push(event.violatedDirective + " " + event.blockedURI));
"""
# What people see: `innerText` leaves out what is hidden.
READ = """() => {
  const seen = element => element?.checkVisibility() ? element.innerText.trim() : null;
  const section = name => document.querySelector(`section[aria-labelledby="${name}"]`);
  const all = (name, selector) => [...(section(name)?.querySelectorAll(selector) ?? [])];
  const pairs = element => [...element.querySelectorAll("dt")].map(dt => [seen(dt), seen(dt.nextElementSibling)]);
  const rows = name => all(name, "tbody tr").map(row => [...row.cells].map(seen));
  return {
    title: document.title, headline: seen(document.querySelector("h1")), as_of: seen(document.querySelector("#as-of")),
    causes: [...all("why", "li"), ...all("notes", "li")].map(li => [seen(li.querySelector("strong")), ...pairs(li)]),
    nothing: seen(section("why")?.querySelector("p")),
    feeds: rows("fresh"), quota: rows("quota"), parked: all("needs", "li").map(seen), kafka: all("kafka", "dl").flatMap(pairs),
    dead_letters: all("dead", "dl").flatMap(pairs), lines: all("promoter", "ul > li").map(seen), progress: rows("promoter"),
  };
}"""


class Visit:
    """One window on the page. What it may not do is a fault when it ends."""

    def __init__(self, context, url, path="/"):
        self.url, self.troubles = url, []
        self.page = context.new_page()
        self.page.add_init_script(VIOLATIONS)
        self.page.on("console", self.console)
        self.page.on("pageerror", lambda error: self.troubles.append(f"a script fails: {error}"))
        self.page.on("request", self.request)
        self.page.goto(url + path)

    def console(self, message):
        # A connector that is away and a change that is refused are told by the browser, too, and by the page in its own words.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.troubles.append(f"the console has: {message.text}")

    def request(self, request):
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.troubles.append(f"it asks another origin: {request.url}")

    def all_troubles(self):
        return self.troubles + [f"its policy forbids: {violation}" for violation in self.page.evaluate("window.violations ?? []")]

    def read(self):
        return self.page.evaluate(READ)

    def wait_for(self, what, is_so, seconds=SECONDS):
        deadline = time.monotonic() + seconds
        while True:
            found = is_so()
            if found:
                return found
            if time.monotonic() > deadline:
                raise Fault(f"{what}: not within {seconds} s; the page shows {json.dumps(self.read(), ensure_ascii=False)}")
            # Playwright's own: the browser's events are heard meanwhile.
            self.page.wait_for_timeout(50)

    def wait_for_news(self, meanwhile=lambda: None):
        """What `meanwhile` said, again and again until it had come up to date, and once afterwards."""
        as_of, said = "document.querySelector('#as-of').innerText", []
        before = self.page.evaluate(as_of)

        def is_new():
            said.append(meanwhile())
            return self.page.evaluate(as_of) != before
        self.wait_for("it comes up to date by itself", is_new)
        return [*said, meanwhile()]


class Browser:
    # How often the page may come up to date until all of it was right once.
    patience = 10

    def __init__(self, playwright, stage):
        self.stage, self.browser = stage, playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))

    @contextlib.contextmanager
    def visit(self, path="/", size=DESKTOP, colours="light"):
        context = self.browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=colours, locale="en-GB")
        try:
            visit = Visit(context, self.stage.front.url, path)
            told = []
            try:
                yield visit
            except (Fault, Error) as fault:
                told.append(str(fault))
            told += visit.all_troubles()
            if told:
                raise Fault("; ".join(told))
        finally:
            context.close()

    def end(self):
        self.browser.close()
