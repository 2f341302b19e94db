// The public API, and what the console adds to it for reading.

const { base, api } = document.body.dataset;
const WORDS = new Set(["counts", "definition", "stream"]);

export const segment = encodeURIComponent;
export const apiPath = (...parts) => `${api}/${parts.map(segment).join("/")}`;
/** What belongs to one workflow. An id that is spelled like a word of the API has its first letter percent-encoded. */
export const workflowPath = (definition, id, ...parts) =>
  [apiPath(definition), WORDS.has(id) ? `%${id.charCodeAt(0).toString(16)}${id.slice(1)}` : segment(id), ...parts.map(segment)].join("/");
export const dataPath = (...parts) => `${base}/data/${parts.map(segment).join("/")}`;
export const pagePath = (definition, id) =>
  `${base}/workflows/${segment(definition)}${id === undefined ? "" : `/${segment(id)}`}`;

/** An answer that is not what was asked for; `body` holds its facts. */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail || body?.title || (status ? `The server answered ${status}.` : "The server cannot be reached."));
    this.status = status;
    this.body = body ?? {};
  }
}

export async function get(path) {
  return (await ask(path, {})).body;
}

export async function post(path, payload, headers = {}) {
  const options = { method: "POST", headers: { "Content-Type": "application/json", ...headers } };
  if (payload !== undefined) options.body = JSON.stringify(payload);
  return ask(path, options);
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch {
    throw new Problem(0, null);
  }
  // The session is over: the server sends whoever loads this page to where the token is asked for, and back here.
  if (response.status === 401) location.reload();
  const text = await response.text();
  let body = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    // Not ours: a proxy's page, say. Its status is all that can be told.
  }
  if (!response.ok) throw new Problem(response.status, body);
  return { body, headers: response.headers };
}

/** Ask whether the server still knows who is asking; where it does not, the page is loaded anew. */
export function knock() {
  get(`${api}/healthz`).catch(() => {});
}

/** A key under which a command that is sent again is done once. */
export function freshKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

addEventListener("unhandledrejection", (event) => {
  // What is read in passing is read again with the next change: the page stays as it is, and the head of the page says
  // whether the server is there. So does what is cut off because the reader goes elsewhere.
  if (event.reason instanceof Problem) event.preventDefault();
});
