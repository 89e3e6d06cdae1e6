// Tree: Gateway → listener → route → rule → backend → endpoint as a list of rows, and what of it is known or open.
// With a search, or if only problems are asked for, the routes that were found are at the top instead.

import { ask } from "./api.js";
import { isWrong } from "./parts.jsx";
import { Pages } from "./pages.js";

const MOST = 5_000; // routes: if there are more, only Gateways and listeners are opened together
const FEW = 3; // listeners: if there are no more, all are open at first

export class Tree {
  constructor(search = "", problems = false) {
    this.search = search;
    this.problems = problems;
    this.gateways = problems ? null : new Pages("gateways", [["search", search]]);
    const asked = [
      ["search", search],
      ["problems", problems ? "true" : ""],
    ];
    this.found = search || problems ? new Pages("routes", asked) : null;
    this.routes = new Map(); // Pages by key of a listener's row
    this.endpoints = new Map(); // Backends by "ns/name:port"
    this.few = null; // whether there are few listeners; null: not known yet
    this.whole = new Map(); // by key ("": the tree): whether all below is open, or only Gateways and listeners
    this.toggled = new Map(); // whether a row is open, by its key, if the operator decided
  }

  isOpen(kind, key) {
    const first = kind === "gateway" || kind === "rule" || (kind === "listener" && this.#few());
    return this.toggled.get(key) ?? this.#isWithin(kind, key) ?? (first && !this.found);
  }

  /** True if it is below a row that was opened with everything below it. */
  #isWithin(kind, key) {
    for (const [above, routes] of this.whole)
      if (isBelow(key, above) && (routes || kind === "gateway" || kind === "listener")) return true;
  }

  /** Opens a row and all below it; without a row, everything. Returns whether all was opened. */
  expand(row, routes) {
    const above = row?.key ?? "";
    const few = routes <= MOST;
    for (const key of [...this.toggled.keys()]) if (isBelow(key, above)) this.toggled.delete(key);
    this.whole.set(above, few);
    return few;
  }

  /** As it was at first: a listener that is added later closes nothing. */
  #few() {
    const { items, complete } = this.gateways;
    this.few ??= complete ? items.reduce((sum, one) => sum + one.listeners_total, 0) <= FEW : null;
    return this.few;
  }

  toggle(row) {
    this.toggled.set(row.key, !row.open);
  }

  /** Closes everything. */
  collapse() {
    this.whole.clear();
    for (const row of this.rows()) if (row.open) this.toggled.set(row.key, false);
  }

  rows() {
    const rows = [];
    if (this.gateways)
      this.#list(rows, this.gateways, "gateways", 1, null, (gateway, at) => this.#gateway(rows, gateway, at));
    if (this.found)
      this.#list(rows, this.found, "found", 1, null, (route, at) => this.#route(rows, route, at, "found"));
    return rows;
  }

  #list(rows, pages, key, level, parent, add) {
    pages.pages.forEach((page, number) => page.items.forEach((item) => add(item, { level, parent, pages, number })));
    if (!pages.complete) rows.push({ key: `${key}|more`, kind: "more", level, parent, pages, data: pages });
  }

  #add(rows, kind, key, at, data, children) {
    const row = { key, kind, data, ...at, open: children ? this.isOpen(kind, key) : undefined };
    rows.push(row);
    if (row.open) children({ ...at, level: at.level + 1, parent: key });
  }

  #gateway(rows, gateway, at) {
    this.#add(rows, "gateway", gateway.name, at, gateway, (below) => {
      for (const listener of gateway.listeners) this.#listener(rows, gateway, listener, below);
    });
  }

  #listener(rows, gateway, listener, at) {
    const key = `${gateway.name}/${listener.name}`;
    const open = listener.routes
      ? (below) => {
          const pages = this.#routesOf(key, gateway.name, listener.name);
          this.#list(rows, pages, key, below.level, key, (route, place) => this.#route(rows, route, place, key));
        }
      : null;
    this.#add(rows, "listener", key, at, { ...listener, gateway: gateway.name }, open);
  }

  #routesOf(key, gateway, listener) {
    if (!this.routes.has(key))
      this.routes.set(
        key,
        new Pages("routes", [
          ["gateway", gateway],
          ["listener", listener],
        ]),
      );
    return this.routes.get(key);
  }

  #route(rows, route, at, above) {
    const key = `${above}|${route.kind}/${route.name}`;
    this.#add(rows, "route", key, at, route, (below) => {
      route.rules.forEach((rule, index) => {
        const own = `${key}|${index}`;
        const data = { ...rule, route };
        this.#add(
          rows,
          "rule",
          own,
          below,
          data,
          rule.backends.length ? (deep) => this.#backends(rows, data, deep, own) : null,
        );
      });
    });
  }

  #backends(rows, rule, at, above) {
    for (const share of rule.backends) {
      const key = `${above}|${share.backend}`;
      const known = this.endpoints.get(share.backend) ?? [];
      const addresses = known.flatMap((one) =>
        one.endpoints.map((endpoint) => ({ ...endpoint, protocol: one.protocol })),
      );
      const data = { ...share, route: rule.route, known };
      this.#add(
        rows,
        "backend",
        key,
        at,
        data,
        isRefused(share)
          ? null
          : (below) => {
              for (const endpoint of addresses) {
                this.#add(
                  rows,
                  "endpoint",
                  `${key}|${endpoint.protocol} ${endpoint.address}`,
                  below,
                  { ...endpoint, share: data },
                  null,
                );
              }
            },
      );
    }
  }

  /** Asks again for what the rows show. */
  async refresh(rows) {
    const wanted = new Map(); // numbers of pages, by Pages
    const backends = new Set();
    for (const row of rows) {
      if (row.pages && row.kind !== "more") wanted.set(row.pages, (wanted.get(row.pages) ?? new Set()).add(row.number));
      if (row.kind === "backend" && row.open) backends.add(row.data.backend);
      if (row.kind === "endpoint") backends.add(row.data.share.backend);
    }
    for (const row of rows) if (row.kind === "more") await row.pages.more();
    for (const [pages, numbers] of wanted) await pages.refresh(numbers);
    await this.#askEndpoints([...backends].slice(0, 50));
  }

  async #askEndpoints(backends) {
    if (!backends.length) return;
    const answer = await ask(
      "endpoints",
      backends.map((name) => ["backend", name]),
    );
    for (const name of backends)
      this.endpoints.set(
        name,
        answer.items.filter((one) => one.backend === name),
      );
  }
}

const isBelow = (key, above) => !above || key === above || key.startsWith(`${above}/`) || key.startsWith(`${above}|`);

/** How many routes are below a row: there may be more than are known. */
export function routesBelow({ kind, data }) {
  if (kind === "gateway") return data.listeners.reduce((sum, one) => sum + one.routes, 0);
  return kind === "listener" ? data.routes : 1;
}

const NO_ENDPOINT = "no_endpoint"; // the reason of a share that is not refused, but has no endpoint that is ready

const isRefused = ({ reason }) => reason !== null && reason !== NO_ENDPOINT;

/** What is wrong with a share, or null. A share of weight 0 gets no requests, so it needs no endpoint. */
export function shareTrouble(share) {
  if (isRefused(share)) return share.reason;
  return share.reason && share.weight ? "no endpoint" : null;
}

function ruleTrouble(backends) {
  const weighed = backends.filter((one) => one.weight);
  if (weighed.some(isRefused)) return "refused share";
  return weighed.some(shareTrouble) ? "no endpoint" : null;
}

/** What is wrong with the object of a row, in a word, or null. */
export function trouble(row) {
  const { kind, data } = row;
  if (kind === "gateway") return data.refused.length ? "refused" : isWrong(data.conditions) ? "problem" : null;
  if (kind === "listener")
    return data.binds.some((one) => one.error) ? "not bound" : isWrong(data.conditions) ? "problem" : null;
  if (kind === "route") {
    if (data.refused.length) return "refused";
    return data.problem ? "problem" : data.failing.length ? "fails" : null;
  }
  if (kind === "rule") return ruleTrouble(data.backends);
  if (kind === "backend") return shareTrouble(data);
  return null;
}
