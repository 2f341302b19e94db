// Forms from the descriptions that the server makes of commands' schemas.
//
// A field left blank is left out, so that the schema's default applies and the server says what is missing: its word
// is the only one that counts.

import { freshId, h } from "./dom.js";

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const INPUTS = {
  text: "text",
  integer: "text",
  number: "text",
  decimal: "text",
  date: "date",
  moment: "datetime-local",
  time: "time",
  email: "email",
  address: "url",
  secret: "password",
};

/** The fields of a payload. `element` is what to show, `read()` gives the payload, `complain(issues)` shows issues. */
export class Fields {
  constructor(form) {
    this.form = form;
    this.root = build(form, true);
    this.area = h("textarea", { id: freshId("json"), rows: "8", spellcheck: "false", class: "code" });
    this.areaError = h("p", { class: "field-error", id: freshId("error"), hidden: true });
    this.area.setAttribute("aria-describedby", this.areaError.id);
    this.raw = h(
      "div",
      { class: "field", hidden: true },
      h("label", { for: this.area.id }, "Payload as JSON"),
      this.area,
      this.areaError,
    );
    this.isEmpty = form.kind === "group" && !form.fields.length;
    this.toggle = h(
      "button",
      { type: "button", class: "quiet", "aria-pressed": "false", onclick: () => this.#swap() },
      "As JSON",
    );
    this.element = h("div", { class: "fields" }, this.root.element, this.raw);
  }

  #swap() {
    const toRaw = this.raw.hidden;
    if (toRaw) {
      const { value } = this.root.read([], []);
      this.area.value = JSON.stringify(value ?? {}, null, 2);
    }
    this.raw.hidden = !toRaw;
    this.root.element.hidden = toRaw;
    this.toggle.setAttribute("aria-pressed", String(toRaw));
    if (toRaw) this.area.focus();
  }

  read() {
    this.clear();
    if (!this.raw.hidden) {
      try {
        return { value: JSON.parse(this.area.value), issues: [] };
      } catch (error) {
        return { value: undefined, issues: [{ path: [], message: `This is no JSON: ${error.message}` }] };
      }
    }
    const issues = [];
    const value = this.root.read(issues, []);
    return { value: value.value ?? {}, issues };
  }

  clear() {
    this.root.clear();
    this.areaError.hidden = true;
    this.area.removeAttribute("aria-invalid");
  }

  /** Show issues beside their fields; return those that belong to none. */
  complain(issues) {
    if (!this.raw.hidden) {
      this.areaError.textContent = issues.map((each) => [each.path.join("."), each.message].filter(Boolean).join(": ")).join("; ");
      this.areaError.hidden = false;
      this.area.setAttribute("aria-invalid", "true");
      this.area.focus();
      return [];
    }
    const homeless = [];
    let first = null;
    for (const issue of issues) {
      const field = this.root.at(issue.path);
      if (!field) {
        homeless.push(issue);
        continue;
      }
      field.complain(issue.message);
      const isBefore = first && field.control.compareDocumentPosition(first.control) & Node.DOCUMENT_POSITION_FOLLOWING;
      if (!first || isBefore) first = field;
    }
    first?.control.focus();
    return homeless;
  }
}

// Each part of a form has an `element`, `read(issues, path)` for its value (`{}` for none), `at(path)` for the field
// that an issue belongs to (or null), and `clear()`.

function build(field, isRoot = false) {
  if (field.kind === "group") return group(field, isRoot);
  if (field.kind === "list") return list(field);
  if (field.kind === "variant") return variant(field);
  if (field.kind === "constant") return constant(field);
  return single(field);
}

function constant(field) {
  return { element: h("div", { hidden: true }), read: () => ({ value: field.value }), at: () => null, clear() {} };
}

function group(field, isRoot) {
  const inner = new Map(field.fields.map((each) => [each.name, build(each)]));
  const content = [...inner.values()].map((each) => each.element);
  const isOptional = !isRoot && (field.nullable || !field.required);
  const included = isOptional ? h("input", { type: "checkbox", checked: Boolean(field.default) }) : null;
  const body = h("div", { class: "group", hidden: isOptional && !included.checked }, content);
  included?.addEventListener("change", () => (body.hidden = !included.checked));
  const error = complaint();
  const element = isRoot
    ? body
    : fieldset(field, included ? h("label", { class: "check" }, included, field.label) : field.label, [body, error.element]);
  const own = { control: included ?? firstControl(element), complain: error.say };
  return {
    element,
    read(issues, path) {
      if (included && !included.checked) return field.nullable && field.required ? { value: null } : {};
      const value = {};
      for (const [name, each] of inner) {
        const part = each.read(issues, [...path, name]);
        if ("value" in part) value[name] = part.value;
      }
      return { value };
    },
    at: ([name, ...rest]) => inner.get(name)?.at(rest) ?? (isRoot ? null : own),
    clear() {
      error.say(null);
      for (const each of inner.values()) each.clear();
    },
  };
}

function list(field) {
  const rows = [];
  const items = h("ol", { class: "items" });
  const error = complaint();
  const add = h("button", { type: "button", class: "quiet" }, "Add to ", field.label.toLowerCase());
  const renumber = () => rows.forEach((row, index) => row.remove.setAttribute("aria-label", `Remove item ${index + 1}`));
  function append(value) {
    const start = value === undefined ? {} : { default: value };
    const item = build({ ...field.item, ...start, label: field.item.label || "Item" });
    const remove = h("button", { type: "button", class: "quiet remove" }, "×");
    const row = { item, remove };
    const element = h("li", {}, item.element, remove);
    remove.addEventListener("click", () => {
      rows.splice(rows.indexOf(row), 1);
      element.remove();
      renumber();
      add.focus();
    });
    rows.push(row);
    items.append(element);
    renumber();
    return element;
  }
  add.addEventListener("click", () => firstControl(append())?.focus());
  if (Array.isArray(field.default)) field.default.forEach(append);
  const own = { control: add, complain: error.say };
  return {
    element: fieldset(field, field.label, [items, add, error.element]),
    read(issues, path) {
      if (!rows.length) return field.required ? { value: [] } : {};
      return { value: rows.map(({ item }, index) => item.read(issues, [...path, index]).value ?? null) };
    },
    at: ([index, ...rest]) => rows[index]?.item.at(rest) ?? own,
    clear() {
      error.say(null);
      for (const { item } of rows) item.clear();
    },
  };
}

function variant(field) {
  const id = freshId("variant");
  const select = h(
    "select",
    { id },
    (field.nullable || !field.required) && h("option", { value: "" }, "–"),
    field.variants.map((each, index) => h("option", { value: index }, each.label)),
  );
  const holder = h("div", {});
  const error = complaint();
  let current = null;
  function choose() {
    current = field.variants[select.value] ? build(field.variants[select.value], true) : null;
    holder.replaceChildren(...(current ? [current.element] : []));
  }
  select.addEventListener("change", choose);
  choose();
  const kind = h("div", { class: "field" }, h("label", { for: id }, "Kind"), select);
  const own = { control: select, complain: error.say };
  return {
    element: fieldset(field, field.label, [kind, holder, error.element]),
    read: (issues, path) => current?.read(issues, path) ?? (field.nullable && field.required ? { value: null } : {}),
    // The name of the variant may stand in the path before the field's.
    at: (path) => current?.at(path) ?? current?.at(path.slice(1)) ?? own,
    clear() {
      error.say(null);
      current?.clear();
    },
  };
}

function fieldset(field, legend, content) {
  return h("fieldset", {}, h("legend", {}, legend), field.hint && h("p", { class: "hint" }, field.hint), content);
}

function single(field) {
  const id = freshId("field");
  const error = complaint();
  const control = controlOf(field, id);
  const hint = hintOf(field);
  const hintElement = hint ? h("p", { class: "hint", id: `${id}-hint` }, hint) : null;
  control.setAttribute("aria-describedby", [hintElement?.id, error.element.id].filter(Boolean).join(" "));
  if (field.required && control.type !== "checkbox") control.setAttribute("aria-required", "true");
  const words = [field.label || "Value", !field.required && h("span", { class: "optional" }, " optional")];
  const label =
    control.type === "checkbox"
      ? [h("label", { class: "check" }, control, h("span", {}, words))]
      : [h("label", { for: id }, words), control];
  function say(message) {
    error.say(message);
    if (message) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  }
  const own = { control, complain: say };
  return {
    element: h("div", { class: "field" }, label, hintElement, error.element),
    read: (issues, path) => read(field, control, path, issues),
    at: () => own,
    clear: () => say(null),
  };
}

function controlOf(field, id) {
  const start = field.default;
  if (field.kind === "boolean" && !field.nullable && (field.required || typeof start === "boolean")) {
    return h("input", { type: "checkbox", id, checked: start === true });
  }
  if (field.kind === "choice" || field.kind === "boolean") {
    const options = field.options ?? [
      { value: true, label: "yes" },
      { value: false, label: "no" },
    ];
    const chosen = options.findIndex((each) => start !== undefined && same(each.value, start));
    const blank = field.nullable || !field.required || chosen < 0;
    return h(
      "select",
      { id },
      blank && h("option", { value: "" }, "–"),
      options.map((each, index) => h("option", { value: String(index), selected: index === chosen }, each.label)),
    );
  }
  if (field.kind === "json") {
    const text = start === undefined || start === null ? "" : JSON.stringify(start, null, 2);
    return h("textarea", { id, rows: "4", spellcheck: "false", class: "code", value: text });
  }
  if (field.kind === "text" && (field.maxLength ?? 0) > 200) {
    return h("textarea", { id, rows: "3", maxlength: field.maxLength, value: start ?? "" });
  }
  const numeric = { integer: "numeric", number: "decimal", decimal: "decimal" }[field.kind];
  return h("input", {
    id,
    type: INPUTS[field.kind] ?? "text",
    inputmode: numeric,
    step: field.kind === "time" || field.kind === "moment" ? "1" : null,
    autocomplete: "off",
    spellcheck: field.kind === "text" ? null : "false",
    value: start === undefined || start === null ? "" : shown(field, start),
  });
}

function shown(field, value) {
  if (field.kind !== "moment") return String(value);
  const when = new Date(value);
  const local = new Date(when.getTime() - when.getTimezoneOffset() * 60_000);
  return Number.isNaN(when.getTime()) ? "" : local.toISOString().slice(0, 19);
}

function hintOf(field) {
  const parts = [field.hint];
  const { minimum, maximum } = field;
  if (minimum !== undefined && maximum !== undefined) parts.push(`${minimum} to ${maximum}`);
  else if (minimum !== undefined) parts.push(`at least ${minimum}`);
  else if (maximum !== undefined) parts.push(`at most ${maximum}`);
  if (field.exclusiveMinimum !== undefined) parts.push(`more than ${field.exclusiveMinimum}`);
  if (field.exclusiveMaximum !== undefined) parts.push(`less than ${field.exclusiveMaximum}`);
  if (field.kind === "json") parts.push("JSON");
  return parts.filter(Boolean).join(" · ");
}

function read(field, control, path, issues) {
  if (control.type === "checkbox") return { value: control.checked };
  const text = control.value;
  if (text.trim() === "") return field.nullable && field.required ? { value: null } : {};
  switch (field.kind) {
    case "choice":
      return { value: field.options[text].value };
    case "boolean":
      return { value: text === "0" };
    case "integer":
    case "number": {
      const value = Number(text.replace(",", "."));
      // What is no number is sent as it was typed: the server says best what is wrong with it.
      if (Number.isNaN(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))) return { value: text };
      return { value };
    }
    case "decimal":
      return { value: text.trim().replace(",", ".") };
    case "moment": {
      const when = new Date(text);
      return { value: Number.isNaN(when.getTime()) ? text : when.toISOString() };
    }
    case "json":
      try {
        return { value: JSON.parse(text) };
      } catch (error) {
        issues.push({ path, message: `This is no JSON: ${error.message}` });
        return {};
      }
    default:
      return { value: text };
  }
}

function complaint() {
  const element = h("p", { class: "field-error", id: freshId("error"), hidden: true });
  return {
    element,
    say(message) {
      element.textContent = message ? message.charAt(0).toUpperCase() + message.slice(1) : "";
      element.hidden = !message;
    },
  };
}

const firstControl = (element) => element.querySelector("input, select, textarea, button");
