// Times as people say them; the exact one is in the title.

import { h } from "./dom.js";

const EXACT = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const STEPS = [
  [60, 1, "s"],
  [3600, 60, "min"],
  [86_400, 3600, "h"],
  [86_400 * 60, 86_400, "d"],
];

function spoken(text) {
  const seconds = Math.round((Date.now() - Date.parse(text)) / 1000);
  const distance = Math.abs(seconds);
  if (distance < 2) return "now";
  const step = STEPS.find(([limit]) => distance < limit);
  if (!step) return new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" }).format(new Date(text));
  const amount = `${Math.floor(distance / step[1])} ${step[2]}`;
  return seconds < 0 ? `in ${amount}` : `${amount} ago`;
}

export function moment(text) {
  if (!text) return h("span", {}, "–");
  return h("time", { datetime: text, title: EXACT.format(new Date(text)) }, spoken(text));
}

export function setMoment(element, text) {
  if (element.getAttribute("datetime") === text) return;
  element.replaceWith(moment(text));
}

setInterval(() => {
  for (const element of document.querySelectorAll("time")) {
    const text = spoken(element.getAttribute("datetime"));
    if (element.textContent !== text) element.textContent = text;
  }
}, 1000);
