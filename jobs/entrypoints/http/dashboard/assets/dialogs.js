// Asks before a change, says what came of it, and sends it.

import { newId, send } from "./server.js";

const part = (id) => document.getElementById(id);
const ask = part("ask");
let hiding;

export function say(text, kind = "") {
  const toast = part("toast");
  toast.textContent = text;
  toast.dataset.kind = kind;
  toast.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { toast.hidden = true; }, kind ? 12000 : 5000);
}

// Resolves once the change went through, or to null if the reader leaves it. `act` gets the reason; it may throw.
export function confirmed({ title, text, yes, more = [], reason = true, danger = false }, act) {
  part("ask-title").textContent = title;
  part("ask-text").textContent = text ?? "";
  part("ask-more").replaceChildren(...more);
  part("ask-yes").textContent = yes;
  part("ask-yes").classList.toggle("danger", danger);
  part("ask-yes").disabled = false;
  part("ask-reason-field").hidden = !reason;
  part("ask-reason").value = "";
  part("ask-fault").hidden = true;
  ask.showModal();
  (reason ? part("ask-reason") : part("ask-yes")).focus();
  return new Promise((resolve) => {
    const over = (result) => { ask.close(); form.onsubmit = null; resolve(result); };
    const form = ask.querySelector("form");
    form.onsubmit = async (event) => {
      event.preventDefault();
      part("ask-yes").disabled = true;
      try {
        over(await act(part("ask-reason").value.trim()) ?? true);
      } catch (error) {
        part("ask-fault").textContent = error.message;
        part("ask-fault").hidden = false;
        part("ask-yes").disabled = false;
      }
    };
    part("ask-no").onclick = () => over(null);
    ask.oncancel = () => { form.onsubmit = null; resolve(null); };
  });
}

const withReason = (reason) => (reason ? JSON.stringify({ reason }) : undefined);

function change(method, path, reason) {
  if (method !== "DELETE") return send(method, path, withReason(reason));
  return send(method, reason ? `${path}?reason=${encodeURIComponent(reason)}` : path);
}

// A button with data-write: one change of one job.
export async function write(button) {
  const { write: method, path, title, text, yes, done } = button.dataset;
  const asking = { title, text, yes, danger: button.classList.contains("danger") };
  if (await confirmed(asking, (reason) => change(method, path, reason))) say(done);
}

const ACTIONS = {
  run: ["Run now", "POST", "/run"], retry: ["Retry", "POST", "/retry"], pause: ["Pause", "POST", "/pause"],
  resume: ["Resume", "POST", "/resume"], cancel: ["Cancel", "DELETE", ""],
};

// The same change of the chosen jobs, one after the other. One that is refused does not keep the others from it.
export async function changeChosen(action, ids) {
  const [label, method, end] = ACTIONS[action];
  const asking = { title: `${label}: ${ids.length} job${ids.length === 1 ? "" : "s"}?`, yes: label, danger: action === "cancel" };
  asking.text = "Each change is kept in the audit.";
  return confirmed(asking, async (reason) => {
    const refused = [];
    for (const id of ids) {
      try {
        await change(method, `jobs/${id}${end}`, reason);
      } catch (error) {
        if (!error.status) throw error;
        refused.push(error.message);
      }
    }
    const changed = ids.length - refused.length;
    say(refused.length ? `${changed} changed, ${refused.length} refused: ${refused[0]}` : `${changed} changed`, refused.length ? "fault" : "");
  });
}

// The same change of all that a search finds: previewed, then done by the app as an operation. Returns its id.
export async function changeAll(action, filter, every) {
  const [label] = ACTIONS[action];
  const body = (more) => `{"action":"${action}","filter":${filter}${every ? ',"all":true' : ""}${more}}`;
  let preview;
  try {
    preview = await send("POST", "bulk", body(',"preview":true'));
  } catch (error) {
    say(error.message, "fault");
    return null;
  }
  if (!preview.matched) {
    say("There is no job in a state for that.");
    return null;
  }
  const list = document.createElement("ul");
  list.append(...preview.sample.map((job) => {
    const item = document.createElement("li");
    item.textContent = `${job.job_name} – ${job.status}`;
    return item;
  }));
  const count = preview.matched.toLocaleString() + (preview.more ? "+" : "");
  const asking = {
    title: `${label}: ${count} job${preview.matched === 1 ? "" : "s"}?`, yes: `${label} all ${count}`, more: [list], danger: action === "cancel",
    text: `The search finds ${count} in a state for that. The app changes them one by one; you can watch, and stop it.${preview.sample.length < preview.matched ? " Among them:" : ""}`,
  };
  const id = newId();
  const started = await confirmed(asking, (reason) =>
    send("POST", "bulk", body(`,"id":"${id}"${reason ? `,"reason":${JSON.stringify(reason)}` : ""}`)));
  return started ? id : null;
}
