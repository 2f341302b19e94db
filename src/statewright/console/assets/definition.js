// A definition's page: counts, lists by state, what is happening, and the way to a new workflow.

import { apiPath, dataPath, get, pagePath } from "./api.js";
import "./badge.js";
import { commandForm } from "./command.js";
import { find, flash, freshId, h, seldom } from "./dom.js";
import { follow } from "./live.js";
import { moment, setMoment } from "./moment.js";
import { select, setCounts, travel } from "./picture.js";
import { hueOf, know, stateBadge } from "./state.js";
import { summary } from "./tree.js";

const { definition: name } = document.body.dataset;
const PAGE = 25;
const MOST_IN_FEED = 30;

const described = await get(dataPath(name));
know(described);
let chosen = new URLSearchParams(location.search).get("state");
if (!described.states.some((state) => state.name === chosen)) chosen = null;

// --- the list --------------------------------------------------------------------------------------------------------

const chips = new Map();
const rows = new Map();
const body = h("tbody", {});
const nothing = h("p", { class: "nothing", hidden: true });
const more = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => ((wanted += PAGE), refreshList()) }, "Show more");
let wanted = PAGE;

function chip(state) {
  const count = h("span", { class: "count" });
  const address = state === null ? pagePath(name) : `${pagePath(name)}?state=${encodeURIComponent(state)}`;
  const dot = state === null ? null : h("span", { class: `dot ${hueOf(state)}`, "aria-hidden": "true" });
  const link = h("a", { href: address, class: "chip", onclick: (event) => pick(event, state) }, dot, state ?? "All", " ", count);
  chips.set(state, { link, count });
  return link;
}

function pick(event, state) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const address = state === null ? pagePath(name) : `${pagePath(name)}?state=${encodeURIComponent(state)}`;
  history.pushState(null, "", address);
  choose(state);
}

function choose(state) {
  chosen = state;
  wanted = PAGE;
  for (const [each, { link }] of chips) {
    if (each === chosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  select(chosen);
  refreshList();
}

addEventListener("popstate", () => choose(new URLSearchParams(location.search).get("state")));
for (const element of document.querySelectorAll(".machine a.state")) {
  element.addEventListener("click", (event) => {
    pick(event, element.dataset.state);
    find("#list").scrollIntoView({ block: "nearest", behavior: "smooth" });
  });
}

function row(found) {
  const state = h("td", {}, stateBadge(found.state));
  const version = h("td", { class: "number" }, found.version);
  const since = h("td", { class: "since" }, moment(found.entered_at));
  const element = h("tr", {}, h("th", { scope: "row" }, h("a", { href: pagePath(name, found.id), class: "id", title: found.id }, found.id)), state, version, since);
  return { element, state, version, since, found };
}

function update(known, found) {
  if (known.found.version === found.version && known.found.state === found.state) return;
  if (known.found.state !== found.state) known.state.replaceChildren(stateBadge(found.state));
  known.version.textContent = found.version;
  setMoment(known.since.firstElementChild, found.entered_at);
  known.found = found;
  flash(known.element);
}

/** Fetch the list as long as it is shown; rows that are there stay, so that nobody loses their place. */
async function refreshList() {
  const asked = chosen;
  const query = new URLSearchParams({ limit: String(wanted + 1) });
  if (asked !== null) query.set("state", asked);
  const found = await get(`${apiPath(name)}?${query}`);
  if (asked !== chosen) return;
  const shown = found.slice(0, wanted);
  const ids = new Set(shown.map((each) => each.id));
  for (const [id, known] of rows) {
    if (!ids.has(id)) {
      known.element.remove();
      rows.delete(id);
    }
  }
  shown.forEach((each, index) => {
    if (rows.has(each.id)) update(rows.get(each.id), each);
    else rows.set(each.id, row(each));
    const { element } = rows.get(each.id);
    if (body.children[index] !== element) body.insertBefore(element, body.children[index] ?? null);
  });
  more.hidden = found.length <= wanted;
  nothing.hidden = shown.length > 0;
  nothing.textContent = asked === null ? "There are none yet." : `None is in ${asked}.`;
}

function openById(event) {
  event.preventDefault();
  const id = new FormData(event.target).get("id"); // as it is: spaces may be part of it
  if (id) location.href = pagePath(name, id);
}

const wantedId = freshId("open");
find("#open").append(
  h(
    "form",
    { class: "open", role: "search", onsubmit: openById },
    h("label", { for: wantedId, class: "unseen" }, "Open a workflow by its id"),
    h("input", { id: wantedId, name: "id", type: "search", placeholder: "Open by id", autocomplete: "off" }),
  ),
);
find("#list").append(
  h("nav", { class: "chips", "aria-label": "Filter by state" }, chip(null), described.states.map((state) => chip(state.name))),
  h(
    "div",
    { class: "scroll" },
    h(
      "table",
      {},
      h("caption", { class: "unseen" }, "Workflows by id"),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          Object.entries({ name: "Id", state: "State", number: "Version", since: "In this state since" }).map(([column, text]) =>
            h("th", { scope: "col", class: column }, text),
          ),
        ),
      ),
      body,
    ),
  ),
  nothing,
  more,
);

// --- counts ----------------------------------------------------------------------------------------------------------

async function refreshCounts() {
  const counts = await get(apiPath(name, "counts"));
  setCounts(counts);
  chips.get(null).count.textContent = Object.values(counts).reduce((sum, each) => sum + each, 0);
  for (const state of described.states) chips.get(state.name).count.textContent = counts[state.name] ?? 0;
}

// --- what is happening -------------------------------------------------------------------------------------------------

const feed = h("ol", { class: "feed" });
const quiet = h("p", { class: "nothing" }, "Quiet so far. What happens appears here at once.");
find("#feed").append(quiet, feed);
const lastStates = new Map();

function tell(commit, isNew) {
  const { workflow_id: id, command, state } = commit;
  const before = lastStates.get(id);
  lastStates.set(id, state);
  if (lastStates.size > 5000) lastStates.delete(lastStates.keys().next().value);
  const entry = h(
    "li",
    { class: hueOf(state) },
    h("p", {}, h("strong", {}, command?.type ?? "created"), " ", h("a", { href: pagePath(name, id) }, id)),
    h("p", { class: "beside" }, before !== state && stateBadge(state), h("span", { class: "ellipsis" }, command ? summary(command.data) : ""), moment(commit.recorded_at)),
  );
  quiet.hidden = true;
  feed.prepend(entry);
  while (feed.children.length > MOST_IN_FEED) feed.lastElementChild.remove();
  if (isNew) {
    flash(entry, "arrived");
    travel(command?.type, state, before);
  }
}

// --- a new one ---------------------------------------------------------------------------------------------------------

function creation() {
  const id = freshId("id");
  const field = h("input", { id, name: "id", autocomplete: "off", spellcheck: "false", "aria-required": "true" });
  const error = h("p", { class: "field-error", id: `${id}-error`, hidden: true });
  field.setAttribute("aria-describedby", error.id);
  const holder = h("div", {});
  const kind = freshId("kind");
  const choice = h("select", { id: kind, onchange: () => put() }, described.creations.map((each) => h("option", {}, each)));
  function put() {
    const command = choice.value;
    const { form, summary: hint } = described.commands[command];
    const made = commandForm({
      definition: name,
      name: command,
      form,
      before: hint ? h("p", { class: "hint" }, hint) : null,
      prepare() {
        const given = field.value.trim();
        error.hidden = Boolean(given);
        error.textContent = "A new workflow needs an id.";
        if (given) return { id: given, headers: { "If-None-Match": "*" } };
        field.focus();
        return "A new workflow needs an id.";
      },
      done(answer) {
        location.href = pagePath(name, answer.id);
      },
    });
    holder.replaceChildren(made.element);
  }
  put();
  const title = freshId("title");
  const dialog = h(
    "dialog",
    { "aria-labelledby": title },
    h(
      "div",
      { class: "bar" },
      h("h2", { id: title }, `New ${name}`),
      h("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => dialog.close() }, "×"),
    ),
    h("div", { class: "field" }, h("label", { for: id }, "Id"), field, error),
    described.creations.length > 1 && h("div", { class: "field" }, h("label", { for: kind }, "Begin with"), choice),
    holder,
  );
  document.body.append(dialog);
  return h("button", { type: "button", class: "primary", onclick: () => dialog.showModal() }, "New");
}

if (described.creations.length) find("#actions").append(creation());

// --- live ----------------------------------------------------------------------------------------------------------------

const first = await get(dataPath(name, "recent"));
first.commits.forEach((commit) => tell(commit, false));
let position = first.position;
choose(chosen);
await refreshCounts();

const soonCounts = seldom(400, refreshCounts);
const soonList = seldom(1500, refreshList);

follow({
  address: () => `${apiPath(name, "stream")}${position === null ? "" : `?after=${position}`}`,
  events: ["commit"],
  opened() {
    soonCounts();
    soonList();
  },
  refused() {
    position = null; // what came after it may have been pruned: it goes on with what happens from now
  },
  heard(_, commit) {
    position = commit.position;
    tell(commit, true);
    soonCounts();
    soonList();
  },
});
