// States by name: each has its colour on every page.

import { h } from "./dom.js";

let hues = new Map();

export function know(definition) {
  hues = new Map(definition.states.map((state) => [state.name, state.hue]));
}

export const hueOf = (name) => `hue-${hues.get(name) ?? 0}`;

export const stateBadge = (name) => h("span", { class: `state-badge ${hueOf(name)}`, title: name }, name);
