"use strict";
// Brings the page up to date without a reload, says when it is not, remembers whether ids are hidden, and has promoters changed.
const EVERY = 2000, OLD = 10000;
// What is brought up to date. What is typed elsewhere stays.
const PLACES = ["#headline", "#as-of", "main"];
const root = document.documentElement;
const hide = document.querySelector("#hide");
let heard = Date.now(), isAsking = false;

function showIds() {
  root.classList.toggle("hides-ids", hide.checked);
  localStorage.setItem("hides-ids", hide.checked ? "yes" : "no");
}

// Only what differs is changed: what is scrolled, selected or has the focus stays so, and a headline is read out aloud when it is another.
function update(shown, next) {
  if (shown.isEqualNode(next)) return;
  if (shown.nodeName !== next.nodeName) {
    shown.replaceWith(next);
  } else if (shown.nodeType !== Node.ELEMENT_NODE) {
    shown.data = next.data;
  } else {
    for (const { name } of [...shown.attributes]) if (!next.hasAttribute(name)) shown.removeAttribute(name);
    for (const { name, value } of next.attributes) shown.setAttribute(name, value);
    const before = [...shown.childNodes], after = [...next.childNodes];
    before.forEach((child, place) => place < after.length ? update(child, after[place]) : child.remove());
    shown.append(...after.slice(before.length));
  }
}

async function refresh() {
  if (isAsking) return;
  isAsking = true;
  try {
    const answer = await fetch(location.pathname + location.search, { headers: { accept: "text/html" }, cache: "no-store",
      signal: AbortSignal.timeout(OLD) });
    // That a promoter is not to be found is an answer, too.
    if (!answer.ok && answer.status !== 404) throw new Error("no page");
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    const pairs = PLACES.map((place) => [document.querySelector(place), next.querySelector(place)]);
    if (pairs.some(([, content]) => !content)) throw new Error("another page");
    pairs.forEach(([shown, content]) => update(shown, content));
    document.title = next.title;
    heard = Date.now();
  } catch (error) {
    // What is shown grows old, which is told below.
  }
  isAsking = false;
}

setInterval(() => root.classList.toggle("not-live", Date.now() - heard > OLD), 1000);
setInterval(() => { if (!document.hidden) refresh(); }, EVERY);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
hide.checked = localStorage.getItem("hides-ids") === "yes";
hide.addEventListener("change", showIds);
showIds();

// The token stays in its field: nothing else keeps it, and no address or cookie has it.
const change = document.querySelector("#change"), outcome = document.querySelector("#change-outcome");
const CHANGE_MAX = 60000;

function body(button) {
  if (button.dataset.change !== "rewind") return {};
  const field = (name) => document.querySelector("#rewind-" + name);
  return { feed: field("feed").value, to: field("to").value.trim(), republish: field("republish").checked,
    dry_run: button.dataset.dryRun === "true" };
}

function told(code, answer) {
  if (answer.error) return code + ": " + answer.error;
  if (answer.text) return answer.text;
  const moves = answer.target ? answer.cursor + " → " + answer.target : answer.cursor + ", which has not passed that time";
  const does = answer.rewind_id ? "written" : "nothing was changed";
  const replaces = answer.replaces ? "; one to " + answer.replaces + " was not met yet, and may be lost" : "";
  return `${does}: cursor ${moves}; ${answer.days} days, ${answer.calls_min} calls or more; memory reaches back to ` +
    `${answer.known_since}, what is unknown to it: ${answer.unknown_facts}${replaces}`;
}

async function ask(button) {
  const [app, id] = change.dataset.promoter.split("/").map(encodeURIComponent);
  const answer = await fetch(`/api/v1/promoters/${app}/${id}/${button.dataset.change}`, { method: "POST",
    headers: { authorization: "Bearer " + document.querySelector("#token").value, "content-type": "application/json" },
    body: JSON.stringify(body(button)), cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(CHANGE_MAX) });
  return told(answer.status, await answer.json());
}

async function act(button) {
  // One at a time; a button that is disabled would lose the focus.
  if (change.ariaBusy === "true") return;
  change.ariaBusy = "true";
  outcome.textContent = "under way …";
  try {
    outcome.textContent = await ask(button);
  } catch (error) {
    outcome.textContent = "no answer: " + error.message;
  }
  change.ariaBusy = "false";
  refresh();
}

for (const button of document.querySelectorAll("[data-change]")) button.addEventListener("click", () => act(button));
