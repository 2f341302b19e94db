// All dead letters, and how far each reader has read.

import { Problem, get } from "./api.js";
import "./badge.js";
import { find, h } from "./dom.js";
import { Letters } from "./letter.js";
import { show } from "./live.js";

const { api } = document.body.dataset;
const list = new Letters(refresh);
const none = h("p", { class: "nothing", hidden: true }, "There are none: everything that was decided has been delivered.");
find("#letters").append(none, list.element);

async function refresh() {
  if (document.hidden) return;
  try {
    const found = await get(`${api}/_/dead-letters?limit=100`);
    none.hidden = found.length > 0;
    list.show(found);
    show("live");
    await refreshReaders();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    show("lost");
  }
}

async function refreshReaders() {
  const found = await get(`${api}/_/readers`).catch(() => []);
  find("#readers-card").hidden = !found.length;
  const heads = ["Reader", "Position", "Behind", "Waiting"];
  find("#readers").replaceChildren(
    h(
      "div",
      { class: "scroll" },
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, heads.map((text, index) => h("th", { scope: "col", class: index ? "number" : null }, text)))),
        h(
          "tbody",
          {},
          found.map((each) =>
            h("tr", {}, h("th", { scope: "row" }, each.name), [each.position, each.lag, each.undelivered].map((value) => h("td", { class: "number" }, value))),
          ),
        ),
      ),
    ),
  );
}

refresh();
setInterval(refresh, 2500);
