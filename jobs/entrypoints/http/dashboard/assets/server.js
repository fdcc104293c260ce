// Talks to the app: views come as HTML, changes go to the JSON API. The function key lives in this module's memory only.

export const root = new URL("../../", import.meta.url);
const api = new URL("../api/", root);
let key = "";

export const signedIn = () => key !== "";
export const useKey = (given) => { key = given; };

const headers = (more) => (key ? { "x-functions-key": key, ...more } : more);

export class Problem extends Error {
  constructor(status, body, bearer) {
    super(body?.detail ?? (status === 401 ? "The function key is missing or wrong." : `The app answered ${status}.`));
    this.status = status;
    this.errors = body?.errors ?? [];
    this.title = body?.title ?? "";
    this.word = body?.type?.split(":").pop() ?? "";
    this.bearer = bearer;
  }
}

async function asked(url, options) {
  const answer = await fetch(url, { cache: "no-store", credentials: "same-origin", redirect: "error", ...options });
  if (answer.ok || answer.status === 304) return answer;
  const json = answer.headers.get("content-type")?.includes("json");
  throw new Problem(answer.status, json ? await answer.json() : null, answer.headers.has("www-authenticate"));
}

// Returns the view's HTML and its ETag; null if it has not changed since `tag`.
export async function fetchView(path, query, tag, signal) {
  const url = new URL(`view/${path}${query}`, root);
  const answer = await asked(url, { headers: headers(tag ? { "If-None-Match": tag } : {}), signal });
  return answer.status === 304 ? null : { html: await answer.text(), tag: answer.headers.get("etag") };
}

// Sends a change. `body` is JSON text, so that numbers of any length stay as they are.
export async function send(method, path, body, more = {}) {
  const sent = body === undefined ? {} : { "content-type": "application/json" };
  const answer = await asked(new URL(path, api), { method, headers: headers({ ...sent, ...more }), body });
  return answer.json();
}

export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // on plain HTTP there is no randomUUID
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  return [...bytes].map((each, place) => ([4, 6, 8, 10].includes(place) ? "-" : "") + each.toString(16).padStart(2, "0")).join("");
}
