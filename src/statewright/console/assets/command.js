// Sending a command: a form, and what the server says to it.

import { Problem, freshKey, post, workflowPath } from "./api.js";
import { announce, h } from "./dom.js";
import { Fields } from "./form.js";

/**
 * A command's form.
 *
 * `prepare()` gives `{id, headers}` or the words of what is missing; `done(body, headers)` is told of an answer.
 */
export function commandForm({ definition, name, form, before = null, prepare, done }) {
  const fields = new Fields(form);
  const outcome = h("div", { class: "outcome" });
  const send = h("button", { type: "submit", class: "primary" }, name);
  let sent = { text: null, key: null };

  async function submit(event) {
    event.preventDefault();
    outcome.replaceChildren();
    const { value, issues } = fields.read();
    if (issues.length) return say(new Problem(422, { issues, title: "This cannot be sent yet" }));
    const target = prepare();
    if (typeof target === "string") return say(new Problem(422, { issues: [], title: target }));
    // The same once more is the same command: it keeps its key, and is done once, whatever became of the first.
    const text = JSON.stringify([target, value]);
    if (sent.text !== text) sent = { text, key: freshKey() };
    send.disabled = true;
    try {
      const headers = { "Idempotency-Key": sent.key, ...target.headers };
      const answer = await post(workflowPath(definition, target.id, "commands", name), value, headers);
      sent = { text: null, key: null };
      const words = `${name} accepted: ${answer.body.state}, version ${answer.body.version}`;
      outcome.replaceChildren(h("p", { class: "notice good" }, words));
      announce(words);
      done(answer.body);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status && error.status < 500) sent = { text: null, key: null };
      say(error);
    } finally {
      send.disabled = false;
    }
  }

  function say(problem) {
    const { body } = problem;
    const homeless = body.issues ? fields.complain(body.issues) : [];
    const facts = Object.entries(body.data ?? {});
    outcome.replaceChildren(
      h(
        "div",
        { class: "notice bad", role: "alert" },
        h("p", { class: "title" }, title(problem)),
        body.code && body.detail && h("p", {}, detail(body)),
        facts.length > 0 &&
          h("dl", { class: "facts" }, facts.map(([key, value]) => h("div", {}, h("dt", {}, key), h("dd", {}, String(value))))),
        homeless.length > 0 &&
          h("ul", {}, homeless.map((each) => h("li", {}, [each.path.join("."), each.message].filter(Boolean).join(": ")))),
      ),
    );
  }

  const element = h(
    "form",
    { class: "command", novalidate: true, onsubmit: submit, "aria-label": name },
    before,
    fields.element,
    h("div", { class: "buttons" }, send, !fields.isEmpty && fields.toggle),
    outcome,
  );
  return { element, clear: () => outcome.replaceChildren() };
}

function title({ status, body, message }) {
  if (body.category === "conflict") {
    const now = body.actual_version === undefined ? "" : ` It is at version ${body.actual_version} now.`;
    return `Somebody else was faster.${now} Look at it, and send again if it still fits.`;
  }
  if (body.category === "domain") return words(body.code);
  if (body.issues?.length) return "Some fields need another look.";
  if (status === 0 || status >= 500) return `${message} Nothing is known to be saved; sending again does it once.`;
  return message;
}

function detail(body) {
  // Where the error says no more than its name and fields, which are shown anyway, it is not said twice.
  return body.detail.startsWith(body.code) ? "" : body.detail;
}

/** `EmptyBasket` is "Empty basket" to a reader. */
const words = (code) => {
  const spaced = String(code).replace(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
};
