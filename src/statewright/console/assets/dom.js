// Making elements. Text only ever becomes text, never markup.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const find = (selector, root = document) => root.querySelector(selector);

let number = 0;

export const freshId = (name = "e") => `${name}-${++number}`;

/** Say something to those who listen to the page instead of looking at it. */
export function announce(text) {
  const announcer = find("#announcer");
  announcer.textContent = "";
  // A screen reader speaks what is put in later, not what was there.
  setTimeout(() => (announcer.textContent = text), 50);
}

/** Let a function run soon, and at most once in so many milliseconds. */
export function seldom(milliseconds, run) {
  let timer = null;
  let last = 0;
  return () => {
    if (timer !== null) return;
    const wait = Math.max(30, last + milliseconds - Date.now());
    timer = setTimeout(async () => {
      try {
        await run();
      } finally {
        last = Date.now();
        timer = null;
      }
    }, wait);
  };
}

/** Make an element flash once, to draw the eye to what has just changed. */
export function flash(element, name = "flash") {
  element.classList.remove(name);
  void element.getBoundingClientRect(); // begins the animation anew
  element.classList.add(name);
}
