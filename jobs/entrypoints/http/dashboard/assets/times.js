// Times come in UTC. They are shown in the viewer's zone, with UTC on hover.

const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const hour = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "short" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

// Beyond these years a Date cannot hold an instant, and the server's text stays.
const readable = (date) => !Number.isNaN(date.getTime());

export function localizeTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) localize(element);
  for (const element of root.querySelectorAll("[data-at]")) {
    const date = new Date(element.dataset.at);
    if (!readable(date)) continue;
    const shown = root.querySelector?.("[aria-current='true'][href$='step=hour']") ? hour : minute;
    const local = shown.format(date);
    const text = element.textContent;
    element.textContent = text.startsWith(element.dataset.at) ? local + text.slice(element.dataset.at.length) : text;
  }
}

function localize(element) {
  const date = new Date(element.dateTime);
  if (!readable(date)) return;
  const utc = element.title || element.textContent;
  const as = element.dataset.as;
  element.title = as === "relative" ? `${full.format(date)} (${utc})` : utc;
  if (as === "relative") element.dataset.utc = utc;
  element.textContent = as === "relative" ? ago(date) : (as === "clock" ? clock : full).format(date);
}

export function refreshRelative(root) {
  for (const element of root.querySelectorAll("time[data-as='relative']")) {
    const text = ago(new Date(element.dateTime));
    if (element.textContent !== text) element.textContent = text;
  }
}

function ago(date) {
  const seconds = Math.round((date.getTime() - Date.now()) / 1000);
  const [unit, length] = UNITS.find(([, each]) => Math.abs(seconds) >= each) ?? UNITS[3];
  return Math.abs(seconds) < 1 ? "now" : relative.format(Math.trunc(seconds / length), unit);
}
