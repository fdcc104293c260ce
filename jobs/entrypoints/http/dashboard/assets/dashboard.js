// The dashboard's script: shows the view that the address names, keeps it fresh, and sends what its buttons ask for.

import { changeAll, changeChosen, say, write } from "./dialogs.js";
import { connectForms } from "./forms.js";
import { morph } from "./morph.js";
import { connectSearch } from "./search.js";
import { fetchView, root, signedIn, useKey } from "./server.js";
import { localizeTimes, refreshRelative } from "./times.js";

const part = (id) => document.getElementById(id);
const main = part("main");
let shown = { address: null, tag: null };
let loading = null;
let timer = null;

// --- where we are

const pathOf = (url) => decodeURI(url.pathname.slice(root.pathname.length)).replace(/\/+$/, "");
const inside = (url) => url.origin === root.origin && (url.pathname.startsWith(root.pathname) || `${url.pathname}/` === root.pathname);
const here = () => new URL(location.href);

// With `stay` the page is changed where it differs, and keeps its focus: only its answer is another.
function go(address, { replace = false, stay = false } = {}) {
  const url = new URL(address, root);
  history[replace ? "replaceState" : "pushState"](null, "", url);
  if (stay) shown = { address: url.pathname + url.search, tag: null };
  return load({ fresh: true });
}

// The address of the page changes without the page being loaded again, and relative links would lead elsewhere then.
for (const link of document.querySelectorAll("a[href], link[href]")) link.setAttribute("href", link.href);

// --- loading

async function load({ fresh = false } = {}) {
  const url = here();
  const address = url.pathname + url.search;
  if (loading && !fresh) return;
  loading?.abort();
  const controller = loading = new AbortController();
  const moved = shown.address !== address;
  try {
    const view = await fetchView(encodeURI(pathOf(url)), url.search, moved ? null : shown.tag, controller.signal);
    if (view) put(view, address, moved);
    tell("live");
    part("notice").hidden = true;
  } catch (error) {
    if (error.name !== "AbortError") fail(error, address, moved);
  } finally {
    if (loading === controller) loading = null;
    plan();
  }
}

function put({ html, tag }, address, moved) {
  const view = new DOMParser().parseFromString(html, "text/html").getElementById("view");
  resolveLinks(view);
  localizeTimes(view);
  const old = part("view");
  if (moved) {
    old.replaceWith(document.adoptNode(view));
    scrollTo(0, 0);
    if (shown.address !== null) main.focus({ preventScroll: true });
  } else {
    morph(old, view);
  }
  shown = { address, tag };
  const { title, section, environment, colour } = part("view").dataset;
  document.title = `${title} – Jobs`;
  document.documentElement.dataset.colour = colour;
  part("environment").textContent = environment;
  part("environment").hidden = false;
  for (const link of document.querySelectorAll("[data-section]:not(#view)")) {
    if (link.dataset.section === section) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  part("sign-out").hidden = !signedIn();
  connectSearch(go);
  connectForms(go);
  countChosen();
}

// Links in views are relative to the dashboard's root, or to the page where they only have a query.
function resolveLinks(view) {
  for (const link of view.querySelectorAll("a[href]")) {
    const href = link.getAttribute("href");
    link.setAttribute("href", new URL(href, href.startsWith("?") || href.startsWith("#") ? location.href.split("?")[0] : root));
  }
  for (const form of view.querySelectorAll("form[action]")) form.setAttribute("action", new URL(form.getAttribute("action"), root));
}

function fail(error, address, moved) {
  if (error.status === 401 || (error.status === 403 && (moved || shown.address === null))) return askToSignIn(error);
  const away = error.status === undefined || error.status >= 500;
  tell("away");
  part("notice").textContent = away && !moved ? `What you see is old: ${error.message || "the app cannot be reached"}` : error.message;
  part("notice").hidden = false;
  if (moved) {
    const view = document.createElement("div");
    view.id = "view";
    if (shown.address !== null || !away) part("view").replaceWith(view);
    if (!away) shown = { address, tag: null };
  }
}

// --- signing in

function askToSignIn(error) {
  clearTimeout(timer);
  const wrong = signedIn();
  useKey("");
  shown = { address: null, tag: null };
  const view = document.createElement("div");
  view.id = "view";
  view.append(part("sign-in").content.cloneNode(true));
  const fault = view.querySelector("[data-fault]");
  fault.textContent = error.word === "" && !wrong ? "This app asks for a function key." : error.message;
  fault.classList.toggle("fault", wrong || error.status === 403);
  const form = view.querySelector("form");
  if (error.bearer) {
    form.remove();
    view.querySelector("[data-easy-auth]").hidden = false;
    const back = encodeURIComponent(location.pathname + location.search);
    view.querySelector("[data-login]").href = `/.auth/login/aad?post_login_redirect_uri=${back}`;
  }
  form.onsubmit = (event) => {
    event.preventDefault();
    useKey(form.elements.key.value);
    load({ fresh: true });
  };
  part("view").replaceWith(view);
  document.title = "Sign in – Jobs";
  part("sign-out").hidden = true;
  tell("");
  form.elements?.key?.focus();
}

part("sign-out").onclick = () => {
  useKey("");
  shown = { address: null, tag: null };
  load({ fresh: true });
};

// --- keeping it fresh

const interval = part("interval");
const remember = (name, value) => { try { localStorage.setItem(name, value); } catch { /* no storage */ } };
try { interval.value = localStorage.getItem("jobs-interval") ?? interval.value; } catch { /* no storage */ }
if (interval.value === "") interval.value = "5";

// Why the page must not change under the reader's hands now; empty if it may.
function busy() {
  if (document.hidden) return "hidden";
  if (document.querySelector("dialog[open]")) return "a question is open";
  if (chosen().length) return "jobs are chosen";
  const selection = getSelection();
  if (selection && !selection.isCollapsed && main.contains(selection.anchorNode)) return "text is selected";
  const active = document.activeElement;
  if (active && main.contains(active) && active.matches("input:not([type=checkbox]), textarea, select")) return "you are typing";
  if (document.querySelector("#view [data-dirty]")) return "you are typing";
  return "";
}

function tell(state) {
  const why = state === "live" && interval.value === "0" ? "off" : busy();
  const live = part("live");
  const text = state === "" ? "" : state === "away" ? "Away" : why === "off" ? "Not refreshing" : why && why !== "hidden" ? `Paused: ${why}` : "Live";
  if (live.textContent !== text) live.textContent = text;
  live.dataset.state = text === "Live" ? "live" : state === "away" ? "away" : "";
}

function plan() {
  clearTimeout(timer);
  const seconds = Number(interval.value);
  if (!seconds || (shown.address === null && part("sign-in") && document.querySelector("#view .sign-in"))) return;
  timer = setTimeout(() => {
    if (busy()) {
      tell("live");
      plan();
    } else load();
  }, seconds * 1000);
}

interval.onchange = () => {
  remember("jobs-interval", interval.value);
  tell("live");
  plan();
};
part("refresh").onclick = () => load({ fresh: true });
document.addEventListener("visibilitychange", () => { if (!document.hidden && shown.address) load(); });
setInterval(() => { if (!document.hidden) refreshRelative(main); }, 1000);

// --- light and dark

part("theme").onclick = () => {
  const dark = getComputedStyle(document.documentElement).colorScheme.includes("dark");
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  remember("jobs-theme", dark ? "light" : "dark");
};

// --- choosing jobs

let everyMatch = false;
const chosen = () => [...document.querySelectorAll("#view [data-pick]:checked")];

function countChosen() {
  const bar = document.querySelector("[data-bulk]");
  if (!bar) return;
  const count = chosen().length;
  if (!count) everyMatch = false;
  bar.hidden = !count;
  bar.querySelector("[data-bulk-text]").textContent = everyMatch ? "All that match the search" : `${count} chosen`;
  const all = bar.querySelector("[data-bulk-all]");
  if (all) all.hidden = everyMatch;
  const every = document.querySelector("[data-pick-all]");
  every.checked = count > 0 && count === document.querySelectorAll("[data-pick]").length;
  every.indeterminate = count > 0 && !every.checked;
}

function choose(on) {
  for (const box of document.querySelectorAll("[data-pick]")) box.checked = on;
  countChosen();
}

async function act(action) {
  const bar = document.querySelector("[data-bulk]");
  if (everyMatch) {
    const id = await changeAll(action, bar.dataset.filter, bar.dataset.any === "true");
    if (id) return go(`operations/${id}`);
    return;
  }
  if (await changeChosen(action, chosen().map((box) => box.dataset.pick))) {
    choose(false);
    load({ fresh: true });
  }
}

// --- events

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[href]");
  if (link && !event.defaultPrevented && event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !link.target) {
    const url = new URL(link.href);
    if (inside(url) && !url.hash) {
      event.preventDefault();
      return go(url);
    }
  }
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.write) {
    await write(button);
    load({ fresh: true });
  } else if (button.dataset.every) {
    const id = await changeAll(button.dataset.every, button.dataset.filter, false);
    if (id) go(`operations/${id}`);
  } else if (button.dataset.bulkAction) act(button.dataset.bulkAction);
  else if ("bulkAll" in button.dataset) { everyMatch = true; countChosen(); }
  else if ("bulkNone" in button.dataset) choose(false);
  else if ("copy" in button.dataset) {
    try { await navigator.clipboard.writeText(button.dataset.copy); say("Copied"); } catch { say("This browser allows no copying here.", "fault"); }
  }
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-pick-all]")) choose(event.target.checked);
  else if (event.target.matches("[data-pick]")) countChosen();
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select") || document.querySelector("dialog[open]")) return;
  if (event.key === "/" && part("q")) {
    event.preventDefault();
    part("q").focus();
  } else if (event.key === "r") load({ fresh: true });
});
addEventListener("popstate", () => load({ fresh: true }));

load({ fresh: true });
