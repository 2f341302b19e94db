// All definitions: their counts, kept up to date.

import { apiPath, get } from "./api.js";
import "./badge.js";
import { setCounts } from "./picture.js";
import { show } from "./live.js";

const cards = [...document.querySelectorAll(".card[data-definition]")];

async function refresh() {
  if (document.hidden) return;
  try {
    for (const card of cards) setCounts(await get(apiPath(card.dataset.definition, "counts")), card);
    show("live");
  } catch {
    show("lost");
  }
}

// One stream for each definition would use up the connections that a browser has to one server.
if (cards.length) {
  refresh();
  setInterval(refresh, 2000);
} else {
  show("off");
}
