// A dead letter: what was given up and why, to be tried again or dropped.

import { Problem, pagePath, post, segment } from "./api.js";
import { announce, h } from "./dom.js";
import { summary } from "./tree.js";

const KINDS = { timer: "Timer", delivery: "Delivery", reactor: "Reactor" };

/** Letters in a list; one that has not changed keeps its element, and whoever is at it their place. */
export class Letters {
  constructor(changed) {
    this.element = h("ul", { class: "plain letters" });
    this.changed = changed;
    this.known = new Map();
  }

  show(letters) {
    const ids = new Set(letters.map((each) => each.id));
    for (const [id, { element }] of this.known) {
      if (ids.has(id)) continue;
      element.remove();
      this.known.delete(id);
    }
    for (const letter of letters) {
      const text = JSON.stringify(letter);
      const before = this.known.get(letter.id);
      if (before?.text === text) continue;
      const element = letterCard(letter, this.changed);
      if (before) before.element.replaceWith(element);
      else this.element.append(element);
      this.known.set(letter.id, { element, text });
    }
  }
}

function letterCard(letter, changed) {
  const outcome = h("p", { class: "field-error", role: "alert", hidden: true });
  const { command, error } = letter;
  const target = h("a", { href: pagePath(letter.target, letter.target_id) }, `${letter.target} ${letter.target_id}`);

  async function act(deed, words) {
    try {
      await post(`${document.body.dataset.api}/_/dead-letters/${segment(letter.id)}/${deed}`);
      announce(words);
      await changed();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      outcome.textContent = problem.message;
      outcome.hidden = false;
    }
  }

  const what = command ? command.type : "a commit that its reactor could not read";
  const drop = h("button", { type: "button", class: "quiet danger", "aria-label": `Drop ${what}`, onclick: confirm }, "Drop");
  const sure = h("button", { type: "button", class: "danger", hidden: true, onclick: () => act("drop", "Dropped") }, "Drop for good");
  function confirm() {
    drop.hidden = true;
    sure.hidden = false;
    sure.focus();
  }
  sure.addEventListener("blur", () => {
    sure.hidden = true;
    drop.hidden = false;
  });

  return h(
    "li",
    { class: "letter", "data-letter": letter.id },
    h("p", { class: "what" }, h("span", { class: "kind" }, KINDS[letter.kind] ?? letter.kind), h("strong", {}, what), letter.target_id && [" to ", target]),
    command && summary(command.data) && h("p", { class: "beside" }, summary(command.data)),
    h("p", { class: "reason" }, error.message ?? error.type ?? "No reason was kept."),
    h("p", { class: "beside" }, `${letter.reader} · ${letter.attempts} ${letter.attempts === 1 ? "attempt" : "attempts"}`),
    h(
      "div",
      { class: "buttons" },
      h("button", { type: "button", class: "primary", "aria-label": `Retry ${what}`, onclick: () => act("retry", "It will be tried again") }, "Retry"),
      drop,
      sure,
    ),
    outcome,
  );
}
