// Following a stream of the server for as long as somebody looks at the page.

import { knock } from "./api.js";
import { find } from "./dom.js";

const WORDS = { starting: "Connecting", live: "Live", lost: "Reconnecting", paused: "Paused", off: "Not live" };

export function show(state) {
  const live = find("#live");
  if (!live || live.dataset.state === state) return;
  live.dataset.state = state;
  find(".word", live).textContent = WORDS[state];
}

/**
 * Follow a stream. The browser itself resumes it after a break; a page in the background lets go of it, because a
 * browser has few connections to one server.
 *
 * `address()` gives where the stream is now, `opened()` is called each time it begins, `heard(name, data)` for each event, and
 * `refused()` where the server will not go on from there.
 */
export function follow({ address, events, heard, opened, refused }) {
  let source = null;
  let pause = 500;
  let timer = null;

  function open() {
    clearTimeout(timer);
    source = new EventSource(address());
    source.onopen = () => {
      pause = 500;
      show("live");
      opened?.();
    };
    source.onerror = () => {
      show("lost");
      if (source && source.readyState === EventSource.CLOSED) {
        // Refused for good, as far as the browser is concerned: begin anew, from what the page knows then.
        close();
        knock();
        refused?.();
        timer = setTimeout(open, pause);
        pause = Math.min(pause * 2, 10_000);
      }
    };
    for (const name of events) {
      source.addEventListener(name, (event) => heard(name, JSON.parse(event.data), event.lastEventId));
    }
  }

  function close() {
    source?.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearTimeout(timer);
      close();
      show("paused");
    } else if (!source) {
      open();
    }
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && !source && open());
  if (!document.hidden) open();
}
