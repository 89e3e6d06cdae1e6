// An answer of `explain`: the decision, the path, the filters, the shares, and the near misses.

import { percent } from "./format.js";
import { Badge, Facts, Yaml } from "./parts.jsx";
import { Table } from "./table.jsx";

const TONES = { forward: "good", redirect: "good", respond: "warn", reset: "bad", close: "bad", drop: "bad" };
const SAID = {
  forward: "A backend gets it",
  redirect: "The gateway answers with a redirect",
  respond: "The gateway answers itself",
  reset: "The connection is reset",
  close: "The connection is closed",
  drop: "It is dropped",
};

export function Explanation(told) {
  const refused = refusedParts(told.backends ?? []);
  const tone = refused.length || told.status >= 500 ? "bad" : TONES[told.decision];
  return (
    <>
      <p class="verdict">
        <Badge tone={tone}>{told.decision}</Badge> {SAID[told.decision]}
        {told.status && ` with status ${told.status}`}
        {told.reason && ` (${told.reason})`}
        {told.decision === "forward" && refused.length > 0 && (
          <b class="bad-text">, but {refused.map(partText).join(" and ")}</b>
        )}
        {told.client_certificate && `; a certificate of the client is ${told.client_certificate}`}
      </p>
      <Path {...told} />
      {told.match && <Facts facts={[["Match", matchText(told.match)]]} />}
      {told.filters?.length > 0 && <Filters filters={told.filters} />}
      {told.backends?.length > 0 && <Shares backends={told.backends} />}
      <Considered considered={told.considered} />
    </>
  );
}

/** Whether the gateway answers a share with an error, or ends its connections. */
const refuses = ({ status, reason }) => reason !== null && (status === null || status >= 500);

/** The part of the requests that gets each error, the greatest first. */
function refusedParts(backends) {
  const parts = new Map();
  for (const { share, status, reason } of backends.filter((one) => one.weight && refuses(one))) {
    const key = `${status} ${reason}`;
    parts.set(key, { status, reason, share: share + (parts.get(key)?.share ?? 0) });
  }
  return [...parts.values()].sort((one, other) => other.share - one.share);
}

const partText = ({ share, status, reason }) =>
  `${percent(share)} ${status ? `of requests get ${status}` : "is refused"} (${reason})`;

function Path({ gateway, listener, route, rule, backends }) {
  const steps = [
    ["Gateway", gateway],
    ["Listener", listener],
    ["Route", route],
    ["Rule", rule],
  ];
  const used = (backends ?? []).filter((one) => one.weight);
  steps.push([used.length === 1 ? "Backend" : "Backends", used.map((one) => one.backend).join(", ") || null]);
  const taken = steps.filter(([, name]) => name !== null);
  if (!taken.length) return null;
  return (
    <ol class="path" aria-label="The path taken">
      {taken.map(([kind, name]) => (
        <li key={kind}>
          <span class="kind">{kind}</span> <b>{name}</b>
        </li>
      ))}
    </ol>
  );
}

const test = (one) => `${one.name} ${one.type === "Exact" ? "=" : one.type} ${one.value}`;

function matchText({ hostname, path, method, headers, queryParams }) {
  if (!path) return hostname;
  return [
    hostname && `host ${hostname}`,
    method,
    `${path.type} ${path.value}`,
    ...headers.map((one) => `header ${test(one)}`),
    ...queryParams.map((one) => `parameter ${test(one)}`),
  ]
    .filter(Boolean)
    .join(", ");
}

/** What a filter does, as the API says it. */
const filterText = ({ type: _, ...rest }) =>
  Object.entries(rest)
    .filter(([, value]) => value !== null && value !== undefined && value.length !== 0)
    .map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`)
    .join("; ");

function Filters({ filters }) {
  const columns = [
    { title: "Filter", cell: (one) => <b>{one.type}</b> },
    { title: "What it does", cell: filterText },
  ];
  return <Table caption="Filters, in order" columns={columns} items={filters} />;
}

function Shares({ backends }) {
  const columns = [
    { title: "Backend", cell: (one) => <b>{one.backend}</b> },
    { title: "Weight", figure: true, cell: (one) => one.weight },
    { title: "Share", figure: true, cell: (one) => percent(one.share) },
    { title: "Answer", cell: answer },
    { title: "Endpoints", cell: (one) => one.endpoints?.join(", ") },
    { title: "Filters", cell: (one) => one.filters.map((step) => `${step.type} ${filterText(step)}`).join("; ") },
  ];
  return (
    <>
      <Table caption="Shares of the rule" columns={columns} items={backends} />
      {backends
        .filter((one) => one.fix)
        .map((one) => (
          <Yaml key={one.backend} text={one.fix} label={`This would allow ${one.backend}`} />
        ))}
    </>
  );
}

function answer(share) {
  if (share.status == null && !share.reason) return <Badge tone="good">of the backend</Badge>;
  return (
    <>
      <Badge tone={refuses(share) ? "bad" : "neutral"}>
        {share.status} {share.reason}
      </Badge>{" "}
      {share.message}
    </>
  );
}

function Considered({ considered }) {
  if (!considered.length) return <p class="dim">Nothing else came near.</p>;
  const columns = [
    { title: "Gateway", cell: (one) => one.gateway },
    { title: "Listener", cell: (one) => one.listener },
    { title: "Route", cell: (one) => <b>{one.route}</b> },
    { title: "Rule", cell: (one) => one.rule },
    { title: "Match", cell: (one) => one.match },
    { title: "Why not", cell: (one) => one.reason },
  ];
  return <Table caption="Near misses" columns={columns} items={considered} />;
}
