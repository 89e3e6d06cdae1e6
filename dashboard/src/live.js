// Live values: what a view asks for again and again while the page is visible. The next round begins PAUSE after the
// last one ended, so a gateway that is slow to answer is asked less often.

import { useEffect, useReducer, useRef } from "preact/hooks";
import { ask } from "./api.js";

const PAUSE = 2_000; // milliseconds; rates change every 5 s

class Live {
  status = null;
  trouble = null; // why the last round failed
  #rounds = new Set(); // asynchronous functions
  #listeners = new Set();
  #timer = null;
  #running = false;

  constructor() {
    document.addEventListener("visibilitychange", () => this.soon());
  }

  /** Calls `round` in each round, and `changed` after it. Returns a function that ends this. */
  join(round, changed) {
    if (round) this.#rounds.add(round);
    this.#listeners.add(changed);
    this.soon();
    return () => {
      this.#rounds.delete(round);
      this.#listeners.delete(changed);
    };
  }

  /** Tells the views that something changed. */
  tell() {
    for (const changed of this.#listeners) changed();
  }

  /** Starts a round now, or after the running one. */
  soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#round(), this.#running ? 50 : 0);
  }

  async #round() {
    if (this.#running) return this.soon();
    if (document.hidden) return;
    this.#running = true;
    try {
      for (const round of [...this.#rounds]) await round(); // first, because the operator looks at it
      this.status = await ask("status");
      this.trouble = null;
    } catch (error) {
      this.trouble = error.status
        ? `The gateway answers ${error.status}: ${error.message}`
        : "The gateway does not answer";
    }
    this.#running = false;
    this.tell();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#round(), PAUSE);
  }
}

export const live = new Live();

/** Draws the component again after each round; `round` is asked in each of them. */
export function useLive(round) {
  const [, draw] = useReducer((times) => times + 1, 0);
  const newest = useRef(round);
  newest.current = round;
  useEffect(() => live.join(round && (() => newest.current()), draw), []);
  return live;
}
