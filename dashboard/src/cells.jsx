// The cells of a row of the topology, by what the row is.

import { percent, plural, rate, seconds } from "./format.js";
import { Badge } from "./parts.jsx";
import { shareTrouble, trouble } from "./tree.js";

const Kind = ({ children }) => <span class="kind">{children}</span>;
const More = ({ children }) => <span class="dim">{children}</span>;

const NAMES = {
  gateway: ({ name, addresses }) => [<Kind>Gateway</Kind>, <b>{name}</b>, <More>{addresses.join(" ")}</More>],
  listener: ({ name, protocol, port, hostname }) => [
    <Kind>Listener</Kind>,
    <b>{name}</b>,
    <More>
      {protocol} :{port} {hostname}
    </More>,
  ],
  route: ({ kind, name, hostnames }) => [<Kind>{kind}</Kind>, <b>{name}</b>, <More>{hostnames.join(" ")}</More>],
  rule: ({ name, matches }) => [<Kind>Rule</Kind>, <b>{name}</b>, <More>{matches.join(" or ")}</More>],
  backend: ({ backend, weight }) => [<Kind>Backend</Kind>, <b>{backend}</b>, <More>weight {weight}</More>],
  endpoint: ({ address, protocol }) => [<Kind>Endpoint</Kind>, <b>{address}</b>, <More>{protocol}</More>],
  more: (pages) => [<More>{pages.total === null ? "Loading…" : `Loading ${plural(pages.rest, "more item")}…`}</More>],
};

export const Name = ({ row }) => NAMES[row.kind](row.data);

export function State({ row }) {
  const wrong = trouble(row);
  if (wrong) return <Badge tone="bad">{wrong}</Badge>;
  if (row.kind === "endpoint") return <Endpoint {...row.data} />;
  if (row.kind === "listener") return <More>{plural(row.data.routes, "route")}</More>;
  if (row.kind === "gateway") return <More>{plural(row.data.listeners_total, "listener")}</More>;
  return null;
}

/** What is wrong with an endpoint, or else its state. */
function Endpoint({ state, used, avoided, recent_failures: recent }) {
  if (recent) return <Badge tone="bad">{plural(recent, "failure")}</Badge>;
  if (avoided) return <Badge tone="warn">avoided</Badge>;
  return <Badge tone={used ? "good" : "warn"}>{state}</Badge>;
}

/** The part that a backend should get, and the mark of the part that it got. */
function Share({ share }) {
  const { wanted, seen } = share;
  const said = `${percent(wanted)} wanted, ${percent(seen)} seen`;
  return (
    <span class={`share ${shareTrouble(share) ? "bad" : ""}`} title={said}>
      <span class="bar" aria-hidden="true">
        <span class="wanted" style={{ width: `${wanted * 100}%` }} />
        {seen != null && <span class="seen" style={{ left: `${seen * 100}%` }} />}
      </span>
      <span class="numbers">
        {percent(wanted)}
        <span class="dim"> / {percent(seen)}</span>
      </span>
    </span>
  );
}

function total(listeners) {
  const known = listeners.map((one) => one.rate).filter((one) => one != null);
  return known.length ? known.reduce((sum, one) => sum + one, 0) : null;
}

const ratio = (errors) => (errors ? <b class="bad-text">{percent(errors)}</b> : percent(errors));

/** The texts of the columns with numbers: rate, errors, the median and the 99th percentile, shares. */
export function numbers({ kind, data }) {
  if (kind === "gateway") return { rate: rate(total(data.listeners)) };
  if (kind === "listener") return { rate: rate(data.rate) };
  if (kind === "backend") return { errors: ratio(data.error_ratio), share: <Share share={data} /> };
  if (kind !== "route") return {};
  const { error_ratio: errors, latency } = data;
  return {
    rate: rate(data.rate),
    errors: ratio(errors),
    p50: seconds(latency?.p50),
    p99: seconds(latency?.p99),
  };
}
