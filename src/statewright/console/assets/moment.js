// Times as people say them; the exact one is in the title.

import { h } from "./dom.js";

const EXACT = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });
const STEPS = [
  [60, 1, "s"],
  [3600, 60, "min"],
  [86_400, 3600, "h"],
  [86_400 * 60, 86_400, "d"],
];

function spoken(text, isDuration = false) {
  const seconds = Math.round((Date.now() - Date.parse(text)) / 1000);
  const distance = Math.abs(seconds);
  if (distance < 2) return isDuration ? "a moment" : "now";
  const step = STEPS.find(([limit]) => distance < limit);
  if (!step) return isDuration ? `${Math.floor(distance / 86_400)} d` : DAY.format(new Date(text));
  const amount = `${Math.floor(distance / step[1])} ${step[2]}`;
  if (isDuration) return amount;
  return seconds < 0 ? `in ${amount}` : `${amount} ago`;
}

export function moment(text) {
  if (!text) return h("span", {}, "–");
  return h("time", { datetime: text, title: EXACT.format(new Date(text)) }, spoken(text));
}

/** How long ago it is, without saying that it is past: "15 s". */
export function duration(text) {
  const element = moment(text);
  if (!text) return element;
  element.dataset.form = "duration";
  element.textContent = spoken(text, true);
  return element;
}

export function setMoment(element, text) {
  if (element.getAttribute("datetime") === text) return;
  element.replaceWith(moment(text));
}

setInterval(() => {
  for (const element of document.querySelectorAll("time")) {
    const text = spoken(element.getAttribute("datetime"), element.dataset.form === "duration");
    if (element.textContent !== text) element.textContent = text;
  }
}, 1000);
