// A workflow's page: where it is, what it holds, how it came there, and what can be done with it now.

import { Problem, dataPath, get, pagePath, workflowPath } from "./api.js";
import "./badge.js";
import { commandForm } from "./command.js";
import { announce, find, flash, freshId, h } from "./dom.js";
import { Letters } from "./letter.js";
import { follow } from "./live.js";
import { duration, moment } from "./moment.js";
import { mark } from "./picture.js";
import { know, stateBadge } from "./state.js";
import { changes, summary, tree } from "./tree.js";

const { definition: name, id } = document.body.dataset;
const SHOWN_AT_ONCE = 4;
const PAGE = 30;

const described = await get(dataPath(name));
know(described);

let now = null; // the workflow as it is
let shown = null; // the version that is looked at; null for the present one
let entered = null;
const past = new Map(); // versions that were fetched
const commits = new Map(); // by version

// --- where it is -------------------------------------------------------------------------------------------------------

async function present() {
  const version = shown ?? now.version;
  const seen = version === now.version ? now : await at(version);
  if (version !== (shown ?? now.version)) return; // the slider has moved on
  const commit = commits.get(version);
  find("#data").replaceChildren(
    seen
      ? tree(seen.data, marked(version > 1 ? (commit?.changes ?? []) : [], seen.data))
      : h("p", { class: "nothing" }, "This version is not kept any more, or no longer loads."),
  );
  mark(seen?.state, reached(version));
  find("#standing").replaceChildren(
    stateBadge(now.state),
    h("span", {}, "version ", h("strong", { id: "version" }, now.version)),
    h("span", {}, "in this state for ", duration(entered ?? now.updated_at)),
  );
  showTravel(seen);
}

/** The paths to be marked: none where everything is new, because a mark on everything marks nothing. */
function marked(found, data) {
  const paths = found.map((each) => (each.kind === "removed" ? each.path.slice(0, -1) : each.path));
  const whole = new Set(paths.filter((path) => path.length === 1).map(([first]) => String(first)));
  const isAllNew = Object.keys(data ?? {}).every((key) => whole.has(key));
  return new Set(isAllNew ? [] : paths.map((path) => JSON.stringify(path)));
}

const reached = (version) => [...commits.values()].filter((each) => each.version <= version).map((each) => each.state);

async function at(version) {
  if (!past.has(version)) {
    try {
      past.set(version, await get(workflowPath(name, id, "at", version)));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return null;
    }
  }
  return past.get(version);
}

// --- time travel ---------------------------------------------------------------------------------------------------------

const slider = h("input", { type: "range", min: "1", step: "1", id: freshId("version") });
const output = h("output", { for: slider.id });
const back = h("button", { type: "button", class: "quiet", onclick: () => look(null) }, "Back to now");
slider.addEventListener("input", () => look(Number(slider.value)));
find("#travel").append(h("label", { for: slider.id }, "Version"), slider, output, back);

function look(version) {
  shown = version === now.version ? null : version;
  const query = shown === null ? "" : `?version=${shown}`;
  history.replaceState(null, "", `${pagePath(name, id)}${query}`);
  present();
}

function showTravel(seen) {
  const version = shown ?? now.version;
  slider.max = now.version;
  slider.value = version;
  slider.disabled = now.version < 2;
  slider.setAttribute("aria-valuetext", `${version} of ${now.version}${seen ? `, ${seen.state}` : ""}`);
  output.textContent = `${version} of ${now.version}`;
  back.hidden = shown === null;
  document.body.classList.toggle("is-travelling", shown !== null);
  pastHint.hidden = shown === null || !now;
  for (const element of document.querySelectorAll("#timeline [data-version]")) {
    const isHere = Number(element.dataset.version) === version;
    element.classList.toggle("is-shown", isHere);
    if (isHere) element.setAttribute("aria-current", "step");
    else element.removeAttribute("aria-current");
  }
}

// --- the timeline --------------------------------------------------------------------------------------------------------

const list = h("ol", { class: "timeline" });
const older = h("button", { type: "button", class: "quiet", hidden: true, onclick: fetchOlder }, "Show older");
find("#timeline").append(list, older);

function entry(commit) {
  const { version, command, events } = commit;
  const link = h(
    "a",
    {
      class: "version",
      href: `?version=${version}`,
      "aria-label": `Version ${version}`,
      onclick(event) {
        event.preventDefault();
        look(version);
      },
    },
    version,
  );
  const before = commits.get(version - 1)?.state;
  return h(
    "li",
    { "data-version": version },
    link,
    h(
      "div",
      {},
      h("p", { class: "what" }, h("strong", {}, command?.type ?? "Created"), before !== commit.state && stateBadge(commit.state), moment(commit.recorded_at)),
      command && summary(command.data) && h("p", { class: "beside" }, summary(command.data)),
      events.length > 0 &&
        h("p", { class: "events" }, events.map((event) => h("span", { class: "event", title: summary(event.data) }, event.type))),
      differences(commit, before),
    ),
  );
}

function differences({ version, state, changes: found }, before) {
  if (found === null) return h("p", { class: "nothing" }, "What it changed cannot be told any more.");
  if (!found.length) return h("p", { class: "nothing" }, unchanged(version, before === state));
  if (found.length <= SHOWN_AT_ONCE) return changes(found);
  return h("details", {}, h("summary", {}, `${found.length} changes`, h("span", { class: "unseen" }, ` of version ${version}`)), changes(found));
}

function unchanged(version, isSameState) {
  if (version === 1) return "It began without data.";
  return isSameState ? "Nothing changed." : "The data stayed as it was.";
}

function put(found, isNew = false) {
  for (const commit of found) commits.set(commit.version, commit);
  for (const commit of found) {
    const after = [...list.children].find((each) => Number(each.dataset.version) <= commit.version);
    if (after && Number(after.dataset.version) === commit.version) continue;
    const element = entry(commit);
    list.insertBefore(element, after ?? null);
    if (isNew) flash(element, "arrived");
  }
  older.hidden = !commits.size || Math.min(...commits.keys()) <= 1;
}

async function fetchTimeline(query) {
  const found = await get(`${dataPath(name, "timeline", id)}?${new URLSearchParams(query)}`);
  entered = found.entered_at;
  return found.commits;
}

async function fetchOlder() {
  const found = await fetchTimeline({ before: Math.min(...commits.keys()), limit: PAGE });
  put(found);
  if (!found.length) older.hidden = true;
  showTravel();
}

async function fetchNewer() {
  const last = commits.size ? Math.max(...commits.keys()) : 0;
  // After a long absence the latest are what counts; the slider reaches all of them.
  if (!last || now.version - last > PAGE) {
    commits.clear();
    list.replaceChildren();
    put(await fetchTimeline({ before: now.version + 1, limit: PAGE }));
  } else {
    put(await fetchTimeline({ after: last, limit: PAGE }), true);
  }
}

// --- what can be done ------------------------------------------------------------------------------------------------------

const forms = new Map();
const none = h("p", { class: "nothing" });
const holder = h("div", { class: "commands" });
find("#commands").append(holder, none);

function offer() {
  const allowed = now ? (described.allowed[now.state] ?? []) : described.creations;
  for (const [command, element] of forms) {
    if (!allowed.includes(command)) {
      if (element.contains(document.activeElement)) find("#commands-title").setAttribute("tabindex", "-1"), find("#commands-title").focus();
      element.remove();
      forms.delete(command);
    }
  }
  allowed.forEach((command, index) => {
    if (!forms.has(command)) forms.set(command, offered(command));
    // A form that somebody is writing in stays where and what it is.
    if (holder.children[index] !== forms.get(command)) holder.insertBefore(forms.get(command), holder.children[index] ?? null);
  });
  none.hidden = allowed.length > 0;
  none.textContent = now ? `Nothing can be done in ${now.state}: this is where it ends.` : "Nothing creates one.";
}

function offered(command) {
  const { form, summary: hint } = described.commands[command];
  const made = commandForm({
    definition: name,
    name: command,
    form,
    before: hint ? h("p", { class: "hint" }, hint) : null,
    prepare: () => ({ id, headers: now ? { "If-Match": `"${now.version}"` } : { "If-None-Match": "*" } }),
    done: (answer) => said(answer, command),
  });
  return h("details", { class: "command-card" }, h("summary", {}, command), made.element);
}

const lastSaid = h("p", { class: "notice good", hidden: true });
const pastHint = h("p", { class: "hint", hidden: true }, "You are looking at the past; commands act on the present.");
find("#commands").prepend(lastSaid, pastHint);
let saidOf = { command: null, version: 0 };

function said(answer, command) {
  lastSaid.textContent = `Accepted. It is ${answer.state} now, at version ${answer.version}.`;
  saidOf = { command, version: answer.version };
  keepSaying();
}

/** A form says itself what was answered; if it is gone with the state that it belonged to, that stands above the forms. */
function keepSaying() {
  lastSaid.hidden = forms.has(saidOf.command) || !now || now.version > saidOf.version;
}

// --- timers and dead letters -------------------------------------------------------------------------------------------------

const letters = new Letters(refreshLetters);
find("#letters").append(letters.element);
let timersShown = "";

async function refreshTimers() {
  const found = await optional(get(workflowPath(name, id, "timers")));
  if (JSON.stringify(found) === timersShown) return;
  timersShown = JSON.stringify(found);
  find("#timers-card").hidden = !found.length;
  find("#timers").replaceChildren(
    h(
      "ul",
      { class: "plain" },
      found.map((timer) =>
        h("li", {}, h("p", { class: "what" }, h("strong", {}, timer.command.type), moment(timer.due_at)), h("p", { class: "beside" }, summary(timer.command.data) || timer.key)),
      ),
    ),
  );
}

async function refreshLetters() {
  if (document.body.dataset.letters !== "true") return;
  const all = await optional(get(`${document.body.dataset.api}/_/dead-letters?limit=100`));
  const own = all.filter((each) => each.workflow_id === id || each.target_id === id);
  find("#letters-card").hidden = !own.length;
  letters.show(own);
}

/** What not every store keeps: nothing where it does not. */
async function optional(asked) {
  try {
    return (await asked) ?? [];
  } catch (error) {
    if (error instanceof Problem) return [];
    throw error;
  }
}

// --- live ----------------------------------------------------------------------------------------------------------------------

function show() {
  find("#workflow").hidden = false;
  find("#missing").hidden = now !== null;
}

async function become(found) {
  const isFirst = now === null;
  const before = now;
  if (!isFirst && found.version < now.version) past.clear(); // it was forgotten, and begun anew
  now = found;
  past.set(found.version, found);
  show();
  offer();
  keepSaying();
  await fetchNewer();
  await present();
  if (!isFirst && before.version !== now.version) {
    announce(before.state === now.state ? `Version ${now.version}` : `Now ${now.state}, version ${now.version}`);
  }
  refreshTimers();
  refreshLetters();
}

/** Changes are shown one after the other, however fast they come; what is overtaken is left out. */
let waiting = null;
let isBusy = false;
async function arrive(found) {
  waiting = found;
  if (isBusy) return;
  isBusy = true;
  try {
    while (waiting) {
      const next = waiting;
      waiting = null;
      await become(next);
    }
  } finally {
    isBusy = false;
  }
}

async function begin() {
  try {
    const found = await get(workflowPath(name, id));
    const wanted = Number(new URLSearchParams(location.search).get("version"));
    if (Number.isInteger(wanted) && wanted > 0 && wanted < found.version) shown = wanted;
    await arrive(found);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const missing = find("#missing");
    missing.textContent = error.status === 404 ? `There is no ${name} with this id yet.` : error.message;
    missing.hidden = false;
    if (error.status === 404) {
      show();
      document.body.classList.add("is-missing");
      offer();
      return false;
    }
  }
  return true;
}

function listen() {
  follow({
    address: () => workflowPath(name, id, "stream"),
    events: ["state", "commit"],
    heard: (_, found) => (!now || found.version !== now.version || found.state !== now.state) && arrive(found),
  });
}

if (await begin()) {
  listen();
  // What is given up makes no commit: nothing would tell.
  setInterval(() => document.hidden || refreshLetters(), 3000);
} else {
  // The first command creates it, and then there is something to follow.
  const { show: say } = await import("./live.js");
  say("off");
  const timer = setInterval(async () => {
    if (document.hidden) return;
    try {
      await get(workflowPath(name, id));
      clearInterval(timer);
      location.reload();
    } catch {
      // Not yet.
    }
  }, 1500);
}
