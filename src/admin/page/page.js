"use strict";
// Brings the page up to date without a reload, says when it is not, and remembers whether ids are hidden.
const EVERY = 2000, OLD = 10000;
const root = document.documentElement;
const main = document.querySelector("main");
const headline = document.querySelector("h1");
const hide = document.querySelector("#hide");
let heard = Date.now();

function showIds() {
  root.classList.toggle("hides-ids", hide.checked);
  localStorage.setItem("hides-ids", hide.checked ? "yes" : "no");
}

async function refresh() {
  try {
    const answer = await fetch(location.pathname + location.search, { headers: { accept: "text/html" }, cache: "no-store",
      signal: AbortSignal.timeout(OLD) });
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    const content = next.querySelector("main"), title = next.querySelector("h1");
    if (!answer.ok || !content || !title) throw new Error("no page");
    const focused = document.activeElement?.getAttribute("aria-labelledby");
    main.replaceChildren(...content.childNodes);
    if (focused) main.querySelector(`[aria-labelledby="${focused}"]`)?.focus({ preventScroll: true });
    // It is read out aloud when it changes, and only then.
    if (headline.textContent !== title.textContent) {
      headline.className = title.className;
      headline.replaceChildren(...title.childNodes);
    }
    document.title = next.title;
    document.querySelector("#as-of").textContent = next.querySelector("#as-of").textContent;
    heard = Date.now();
  } catch (error) {
    // What is shown grows old, which is told below.
  }
}

setInterval(() => root.classList.toggle("not-live", Date.now() - heard > OLD), 1000);
setInterval(() => { if (!document.hidden) refresh(); }, EVERY);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
hide.checked = localStorage.getItem("hides-ids") === "yes";
hide.addEventListener("change", showIds);
showIds();
