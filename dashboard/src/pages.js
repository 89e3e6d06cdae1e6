// Pages: a list of the admin API, of which the pages that were seen are known. Only visible ones are asked again.

import { ask } from "./api.js";

const SIZE = 50; // items of a page, unless a view asks for more

export class Pages {
  constructor(resource, parameters = [], size = SIZE) {
    this.resource = resource;
    this.size = size;
    this.parameters = parameters;
    this.pages = []; // {after, items, next}, in order
    this.total = null; // null: nothing is known yet
    this.last = null; // the last answer
    this.loading = false;
    this.turn = 0; // the page between the first and the last one that was asked for last
  }

  /** Known items. */
  get items() {
    return this.pages.flatMap((page) => page.items);
  }

  get complete() {
    return this.pages.length > 0 && this.pages.at(-1).next === null;
  }

  /** How many items are not known yet. */
  get rest() {
    return this.total === null
      ? 0
      : Math.max(0, this.total - this.pages.reduce((sum, page) => sum + page.items.length, 0));
  }

  async more() {
    if (this.loading || this.complete) return;
    this.loading = true;
    try {
      await this.#load(this.pages.length, this.pages.at(-1)?.next ?? "");
    } finally {
      this.loading = false;
    }
  }

  /** Asks again for the pages with the numbers. If items moved from one page to another, later pages are forgotten. */
  async refresh(numbers) {
    for (const number of [...numbers].sort((a, b) => a - b)) {
      const before = number === 0 ? "" : this.pages[number - 1]?.next;
      if (before === null || before === undefined || number >= this.pages.length) break;
      await this.#load(number, before);
    }
  }

  /** Asks again for the first and the last known page, and for one of those between them. */
  async refreshSome() {
    const known = this.pages.length;
    this.turn = (this.turn + 1) % Math.max(1, known);
    await this.refresh(new Set([0, this.turn, known - 1]));
    while (this.pages.length < known && !this.complete) await this.more(); // items moved: later pages were forgotten
  }

  async #load(number, after) {
    const answer = await ask(this.resource, [...this.parameters, ["limit", this.size], ["after", after]]);
    const known = this.pages[number + 1];
    if (known && known.after !== answer.next) this.pages.length = number + 1;
    this.pages[number] = { after, items: answer.items, next: answer.next };
    this.total = answer.total;
    this.last = answer;
  }

  /** All pages, for lists that are not long. */
  async all(most = 20) {
    await this.refresh(this.pages.keys());
    while (!this.complete && this.pages.length < most) await this.more();
  }
}
