// JSON data for people: objects as lists of terms, lists of like objects as tables.

import { h } from "./dom.js";

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isPlain = (value) => value === null || typeof value !== "object";

/** Show a value; `changed` is a set of paths (as JSON) that are new in it. */
export function tree(value, changed = new Set(), path = []) {
  if (isPlain(value)) return scalar(value);
  if (Array.isArray(value)) return list(value, changed, path);
  const entries = Object.entries(value);
  if (!entries.length) return h("span", { class: "nothing" }, path.length ? "empty" : "This state has no data.");
  return h(
    "dl",
    { class: "tree" },
    entries.map(([key, each]) => {
      const at = [...path, key];
      const isNew = changed.has(JSON.stringify(at));
      return h(
        "div",
        { class: isNew ? "is-changed" : null },
        h("dt", {}, key, isNew && h("span", { class: "unseen" }, " (changed)")),
        h("dd", {}, tree(each, changed, at)),
      );
    }),
  );
}

function list(values, changed, path) {
  if (!values.length) return h("span", { class: "nothing" }, "empty list");
  if (values.every((each) => isObject(each) && Object.values(each).every(isPlain))) {
    const keys = [...new Set(values.flatMap(Object.keys))];
    if (keys.length && keys.length <= 6) return table(values, keys, changed, path);
  }
  return h(
    "ol",
    { class: "tree" },
    values.map((each, index) => {
      const at = [...path, index];
      return h("li", { class: changed.has(JSON.stringify(at)) ? "is-changed" : null }, tree(each, changed, at));
    }),
  );
}

function table(values, keys, changed, path) {
  const isNumeric = (key) => values.every((each) => each[key] === undefined || isNumber(each[key]));
  const side = Object.fromEntries(keys.map((key) => [key, isNumeric(key) ? "number" : null]));
  const cell = (each, key, row) => {
    const isNew = changed.has(JSON.stringify([...path, row, key])) || changed.has(JSON.stringify([...path, row]));
    return h("td", { class: [side[key], isNew && "is-changed"].filter(Boolean).join(" ") || null }, scalar(each[key]));
  };
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": `${path.at(-1) ?? "Items"}, table` },
    h(
      "table",
      { class: "small" },
      h("thead", {}, h("tr", {}, keys.map((key) => h("th", { scope: "col", class: side[key] }, key)))),
      h("tbody", {}, values.map((each, row) => h("tr", {}, keys.map((key) => cell(each, key, row))))),
    ),
  );
}

const isNumber = (value) => typeof value === "number" || (typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value));

export function scalar(value) {
  if (value === undefined) return h("span", { class: "nothing" }, "–");
  if (value === null) return h("span", { class: "nothing" }, "null");
  if (value === "") return h("span", { class: "nothing" }, "empty text");
  if (typeof value === "boolean") return h("span", { class: "word" }, value ? "yes" : "no");
  return h("span", { class: typeof value === "number" ? "figure" : "text" }, String(value));
}

/** A value in one line. */
export function brief(value, most = 80) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** A command's or event's data in one line: its values with their names. */
export function summary(data) {
  if (!isObject(data)) return data === null || data === undefined ? "" : brief(data);
  return Object.entries(data)
    .map(([key, value]) => `${key} ${brief(value, 40)}`)
    .join(" · ");
}

/** A place in the data, as people write it. */
export const place = (path) =>
  path.map((step, index) => (typeof step === "number" ? `[${step}]` : index ? `.${step}` : step)).join("") || "data";

export function changes(list_) {
  const row = ({ kind, path, before, after }) =>
    h(
      "li",
      { class: `change ${kind}` },
      h("span", { class: "unseen" }, `${kind}: `),
      h("code", { class: "at" }, place(path)),
      " ",
      before !== undefined && h("del", {}, brief(before)),
      kind === "changed" && h("span", { class: "to", "aria-hidden": "true" }, " → "),
      after !== undefined && h("ins", {}, brief(after)),
    );
  return h("ul", { class: "changes" }, list_.map(row));
}
