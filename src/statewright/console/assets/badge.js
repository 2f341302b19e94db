// What stands in the head of every page: how many dead letters there are.

import { get } from "./api.js";
import { find } from "./dom.js";

const { api, letters } = document.body.dataset;
const badge = find("#letter-count");

async function count() {
  if (document.hidden) return;
  try {
    const found = await get(`${api}/_/dead-letters?limit=100`);
    badge.hidden = !found.length;
    badge.textContent = found.length > 99 ? "99+" : found.length;
  } catch {
    badge.hidden = true;
  }
}

if (letters === "true" && badge) {
  count();
  setInterval(count, 5000);
}
