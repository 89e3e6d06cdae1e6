// Problems of all kinds in one list: routes, Gateways and listeners, policies, certificates, grants.

import { useReducer, useRef } from "preact/hooks";
import { count, plural } from "./format.js";
import { useLive } from "./live.js";
import { Pages } from "./pages.js";
import { Badge, Empty, Yaml } from "./parts.jsx";
import { link } from "./place.js";

const SIZE = 500; // problems of a page

/** By type, in the order of the answer: what one is called, and its tone. */
export const TYPES = {
  failing: ["route that fails now", "bad", "routes that fail now"],
  refused: ["refused reference", "bad"],
  condition: ["wrong condition", "bad"],
  not_bound: ["listener that is not bound", "bad", "listeners that are not bound"],
  certificate: ["certificate that ended or ends soon", "bad", "certificates that ended or end soon"],
  warning: ["warning", "warn"],
};

export const named = (type, amount) => {
  const [one, , several = `${one}s`] = TYPES[type];
  return `${count(amount)} ${amount === 1 ? one : several}`;
};

export function Problems({ query }) {
  const type = query.get("type") in TYPES ? query.get("type") : "";
  return <List key={type} type={type} />;
}

function List({ type }) {
  const pages = useRef(null);
  const [, draw] = useReducer((times) => times + 1, 0);
  pages.current ??= new Pages("problems", [["type", type]], SIZE);
  useLive(() => (pages.current.pages.length ? pages.current.refreshSome() : pages.current.more()));
  const { items, total, rest, last } = pages.current;
  if (total === null) return <Empty>Loading…</Empty>;
  return (
    <div class="view">
      <Types counts={last.counts} type={type} />
      {!items.length && <Empty>There are no problems{type && " of this type"}.</Empty>}
      {items.map((one, index) => (
        <Problem key={`${one.type} ${one.kind} ${one.object} ${one.field} ${index}`} one={one} />
      ))}
      {rest > 0 && (
        <button type="button" onClick={() => pages.current.more().then(draw)}>
          Show more: {plural(rest, "problem")}
        </button>
      )}
    </div>
  );
}

function Types({ counts, type }) {
  const all = Object.values(counts).reduce((sum, one) => sum + one, 0);
  return (
    <nav class="types" aria-label="Types of problems">
      <a href={link("problems")} aria-current={type ? undefined : "true"}>
        {count(all)} of all types
      </a>
      {Object.keys(TYPES).map((name) => (
        <a key={name} href={link("problems", [["type", name]])} aria-current={type === name ? "true" : undefined}>
          {named(name, counts[name])}
        </a>
      ))}
    </nav>
  );
}

const shownIn = ({ kind, object }) => {
  if (kind === "Secret") return link("certificates");
  if (kind === "Gateway") return link("topology", [["search", object]]);
  return kind.endsWith("Route") ? link("topology", [["search", `${kind}/${object}`]]) : null;
};

function Problem({ one }) {
  const tone = TYPES[one.type][1];
  const place = shownIn(one);
  return (
    <article class={`refused ${tone}`}>
      <h2>
        <span class="kind">{one.kind}</span> {place ? <a href={place}>{one.object}</a> : one.object}{" "}
        <Badge tone={tone}>{one.reason}</Badge>
      </h2>
      {one.field && <code>{one.field}</code>}
      <p>{one.message}</p>
      {one.fix && (
        <Yaml text={one.fix} label={one.type === "refused" ? "This ReferenceGrant would allow it" : "What to write"} />
      )}
    </article>
  );
}
