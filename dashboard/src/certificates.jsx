// Certificates of listeners and Gateways. Those that end first are at the top.

import { useRef } from "preact/hooks";
import { day, distance, plural } from "./format.js";
import { useLive } from "./live.js";
import { Pages } from "./pages.js";
import { Badge, Empty } from "./parts.jsx";
import { Table } from "./table.jsx";

const SOON = 21 * 86_400_000; // milliseconds before the end
const MOST = 20; // pages

function state(one, now) {
  if (one.state !== "valid") return <Badge tone="bad">{one.state}</Badge>;
  if (Date.parse(one.not_after) - now < SOON) return <Badge tone="warn">ends soon</Badge>;
  return <Badge tone="good">valid</Badge>;
}

const columns = (now) => [
  { title: "Secret", cell: (one) => <b>{one.secret}</b> },
  { title: "State", cell: (one) => state(one, now) },
  { title: "Ends", cell: (one) => one.not_after && `${day(one.not_after)}, ${distance(one.not_after, now)}` },
  { title: "Names", cell: (one) => one.names.join(", ") },
  { title: "Used by", cell: (one) => one.used_by.join(", ") },
  { title: "Message", cell: (one) => one.message },
];

const end = (one) => (one.not_after ? Date.parse(one.not_after) : 0);

export function Certificates() {
  const pages = useRef(null);
  pages.current ??= new Pages("certificates");
  const { status } = useLive(() => pages.current.all(MOST));
  const { items, total } = pages.current;
  if (total === null || !status) return <Empty>Loading…</Empty>;
  if (!total) return <Empty>No listener or Gateway has a certificate.</Empty>;
  const sorted = [...items].sort((a, b) => end(a) - end(b));
  return (
    <div class="view">
      {items.length < total && (
        <p>
          {plural(items.length, "certificate")} of {total} are here.
        </p>
      )}
      <Table
        caption="Certificates"
        columns={columns(Date.parse(status.time))}
        items={sorted}
        name={(one) => one.secret}
      />
    </div>
  );
}
