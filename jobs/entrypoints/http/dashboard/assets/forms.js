// Forms: those that make or change a job build its payload as JSON text, so that numbers of any length stay as they are.

import { say } from "./dialogs.js";
import { newId, send } from "./server.js";

const MASK = "**********"; // sent back, it leaves the value as it is
const NUMBER = { integer: /^-?(0|[1-9]\d*)$/, number: /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/ };

export function connectForms(go) {
  for (const form of document.querySelectorAll("#view form:not([data-connected])")) {
    form.dataset.connected = "true";
    if (form.dataset.form) connectJobForm(form, go);
    else if ("live" in form.dataset) connectLive(form, go);
    else if ("filterForm" in form.dataset || form.dataset.search === "recurring") connectFilters(form, go);
  }
}

function addressOf(form) {
  const given = [...new FormData(form)].filter(([, value]) => value.trim());
  const query = new URLSearchParams(given).toString();
  return form.action + (query ? `?${query}` : "");
}

function connectFilters(form, go) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    document.activeElement?.blur();
    go(addressOf(form));
  });
}

// A form whose answer appears while it is filled in.
function connectLive(form, go) {
  let waiting;
  const update = () => go(addressOf(form), { replace: true, stay: true });
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(update, 250);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    update();
  });
}

// --- forms of a job

function connectJobForm(form, go) {
  const key = newId(); // of this form, so that sending it twice makes one job
  form.addEventListener("input", () => { form.dataset.dirty = "true"; });
  for (const button of form.querySelectorAll("[data-mode]")) button.addEventListener("click", () => choose(form, button.dataset.mode));
  connectPreview(form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const submit = form.querySelector("button.primary");
    clearFaults(form);
    submit.disabled = true;
    try {
      const job = await SENDERS[form.dataset.form](form, key);
      say({ enqueue: "Enqueued", retry: "It runs again", update: "Saved" }[form.dataset.form]);
      delete form.dataset.dirty;
      go(`jobs/${job.id}`);
    } catch (error) {
      showFaults(form, error);
    } finally {
      submit.disabled = false;
    }
  });
}

const text = (form, id) => form.querySelector(`#${id}`)?.value.trim() ?? "";
const member = (name, json) => `${JSON.stringify(name)}:${json}`;

const SENDERS = {
  enqueue(form, key) {
    const parts = [member("handler_name", JSON.stringify(form.dataset.handler)), member("payload", payloadOf(form))];
    for (const name of ["job_name", "schedule", "timezone", "timeout"]) {
      if (text(form, name)) parts.push(member(name, JSON.stringify(text(form, name))));
    }
    if (text(form, "metadata")) parts.push(member("metadata", checked(text(form, "metadata"), "/metadata")));
    if (text(form, "max_retries")) parts.push(member("max_retries", numeral(text(form, "max_retries"), "integer", "/max_retries")));
    return send("POST", "jobs", `{${parts.join()}}`, { "Idempotency-Key": key });
  },
  retry(form) {
    return send("POST", `jobs/${form.dataset.job}/retry`, `{${[member("payload", payloadOf(form)), ...reasonOf(form)].join()}}`, match(form));
  },
  update(form) {
    const parts = [member("payload", payloadOf(form)), ...reasonOf(form)];
    for (const name of ["schedule", "timezone"]) parts.push(member(name, JSON.stringify(text(form, name))));
    return send("PATCH", `jobs/${form.dataset.job}`, `{${parts.join()}}`, match(form));
  },
};

const reasonOf = (form) => (text(form, "reason") ? [member("reason", JSON.stringify(text(form, "reason")))] : []);
const match = (form) => ({ "If-Match": `"${form.dataset.revision}"` });

class Fault extends Error {
  constructor(pointer, detail) {
    super(detail);
    this.errors = [{ pointer, detail }];
  }
}

function checked(json, pointer) {
  try {
    JSON.parse(json);
  } catch (error) {
    throw new Fault(pointer, `This is not JSON: ${error.message}`);
  }
  return json;
}

function numeral(value, kind, pointer) {
  if (!NUMBER[kind].test(value)) throw new Fault(pointer, kind === "integer" ? "Write a whole number." : "Write a number, such as 1.5.");
  return value;
}

function payloadOf(form) {
  const fields = form.querySelector("[data-as=form]");
  if (fields && !fields.hidden) return objectOf(fields) ?? "{}";
  return checked(form.querySelector("#payload-json").value, "/payload");
}

// The JSON text of the controls in `group`, undefined where none is filled in.
function objectOf(group) {
  const parts = [];
  for (const control of ownControls(group)) {
    const { pointer, kind } = control.dataset;
    const name = pointer.split("/").pop().replaceAll("~1", "/").replaceAll("~0", "~");
    const json = kind === "object" ? objectOf(control) ?? ("needed" in control.dataset ? "{}" : undefined) : valueOf(control);
    if (json !== undefined) parts.push(member(name, json));
  }
  return parts.length ? `{${parts.join()}}` : undefined;
}

function ownControls(group) {
  return [...group.querySelectorAll("[data-pointer]")].filter((each) => {
    const around = each.parentElement.closest("fieldset[data-pointer], [data-as=form]");
    return around === group;
  });
}

function valueOf(control) {
  const { kind, pointer } = control.dataset;
  const needed = "needed" in control.dataset;
  if (control.value === "") {
    if (kind === "secret" && "keeps" in control.dataset) return JSON.stringify(MASK);
    return needed && (kind === "text" || kind === "long") ? '""' : undefined;
  }
  if (kind === "integer" || kind === "number") return numeral(control.value.trim(), kind, `/payload${pointer}`);
  if (kind === "json") return checked(control.value, `/payload${pointer}`);
  return kind === "boolean" || kind === "choice" ? control.value : JSON.stringify(control.value);
}

function choose(form, mode) {
  if (mode === "json") {
    try { form.querySelector("#payload-json").value = payloadOf(form); } catch (error) { return showFaults(form, error); }
  }
  for (const part of form.querySelectorAll("[data-as]")) part.hidden = part.dataset.as !== mode;
  for (const button of form.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
}

function clearFaults(form) {
  form.querySelector("[data-fault]").hidden = true;
  for (const each of form.querySelectorAll("[data-faulty]")) delete each.dataset.faulty;
  for (const each of form.querySelectorAll(".field > .fault")) each.remove();
  for (const each of form.querySelectorAll("[aria-invalid]")) each.removeAttribute("aria-invalid");
}

function showFaults(form, error) {
  clearFaults(form);
  const left = [];
  for (const { pointer, detail } of error.errors ?? []) {
    const place = fieldAt(form, pointer);
    if (!place) {
      left.push(pointer ? `${pointer}: ${detail}` : detail);
      continue;
    }
    const told = document.createElement("span");
    told.className = "fault";
    told.textContent = detail;
    place.append(told);
    place.dataset.faulty = "true";
    place.querySelector("input, select, textarea").setAttribute("aria-invalid", "true");
  }
  const top = form.querySelector("[data-fault]");
  top.textContent = left.length ? left.join("; ") : error.errors?.length ? "See what is marked below." : error.message;
  top.hidden = false;
  form.querySelector("[aria-invalid]")?.focus();
}

// The field that a fault is about: the one of its pointer, or of the nearest part of the payload around it.
function fieldAt(form, pointer) {
  const shown = [...form.querySelectorAll("[data-fault-at]")].filter((each) => !each.closest("[hidden]"));
  for (let at = pointer; at; at = at.slice(0, at.lastIndexOf("/"))) {
    const names = [at, ...(at.startsWith("/payload/") ? [at.slice("/payload".length)] : [])];
    const found = shown.find((each) => names.includes(each.dataset.faultAt));
    if (found) return found;
  }
  return null;
}

// What a schedule means, while it is typed.
function connectPreview(form) {
  const told = form.querySelector("[data-preview]");
  if (!told) return;
  let waiting;
  const update = async () => {
    const schedule = text(form, "schedule") || "@once";
    try {
      const preview = await send("POST", "schedules/preview", JSON.stringify({ schedule, timezone: text(form, "timezone") || "UTC", count: 3 }));
      const times = preview.runs.map((run) => new Date(run.at).toLocaleString()).join(" · ");
      told.textContent = [preview.description, times && `next: ${times}`, ...preview.warnings].filter(Boolean).join(" – ");
    } catch (error) {
      told.textContent = error.message;
    }
  };
  for (const input of form.querySelectorAll("[data-previewed]")) {
    input.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(update, 250);
    });
  }
  update();
}
