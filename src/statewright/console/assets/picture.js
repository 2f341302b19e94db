// The machine's picture: counts, the state that a workflow is in, and what is moving.

import { find, flash } from "./dom.js";

const LEAST_SCALE = 0.75;

// A picture gives way to its window only as far as it can still be read; from there on its card scrolls.
for (const picture of document.querySelectorAll("svg.machine")) {
  for (const side of ["width", "height"]) {
    picture.style.setProperty(`min-${side}`, `${picture.getAttribute(side) * LEAST_SCALE}px`);
  }
  centre(find(".begin, .state", picture));
}

const states = (root) => root.querySelectorAll(".machine .state");

export function setCounts(counts, root = document) {
  for (const element of states(root)) {
    const count = counts[element.dataset.state] ?? 0;
    const text = find(".count", element);
    if (!text || text.textContent === String(count)) continue;
    text.textContent = count;
    const words = `${element.dataset.state}: ${count}`;
    element.setAttribute("aria-label", words);
    find("title", element).textContent = words;
    flash(element);
  }
}

export function mark(name, reached = []) {
  for (const element of states(document)) {
    const { state } = element.dataset;
    element.classList.toggle("is-current", state === name);
    element.classList.toggle("is-past", state !== name && reached.includes(state));
    if (state === name) element.setAttribute("aria-current", "true");
    else element.removeAttribute("aria-current");
    element.setAttribute("aria-label", state === name ? `${state}: current state` : state);
    if (state === name) centre(element);
  }
}

/** Scroll a picture, and only the picture, to an element of it. */
function centre(element) {
  const card = element.closest(".picture");
  const [outer, inner] = [card.getBoundingClientRect(), element.getBoundingClientRect()];
  if (!inner.width) return; // of the picture that is not shown
  const middle = ({ left, top, width, height }) => [left + width / 2, top + height / 2];
  const [[x, y], [toX, toY]] = [middle(outer), middle(inner)];
  card.scrollBy(toX - x, toY - y);
}

export function select(name) {
  for (const element of states(document)) element.classList.toggle("is-chosen", element.dataset.state === name);
}

/** Light up the way that a command took; where it may have been one of several, none. */
export function travel(command, target, source) {
  const leads = ({ dataset: { commands, target: to, source: from } }) =>
    to === target && commands.split("/").includes(command) && (source === undefined || from === source);
  const ways = [...document.querySelectorAll(".machine .line, .machine .label")].filter(leads);
  if (new Set(ways.map((each) => each.dataset.source)).size > 1) return;
  for (const each of ways) flash(each, "travelled");
}
