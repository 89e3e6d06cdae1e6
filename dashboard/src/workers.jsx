// The processes that carry the traffic.

import { count, mebibytes, seconds } from "./format.js";
import { useLive } from "./live.js";
import { Badge, Empty } from "./parts.jsx";
import { Table } from "./table.jsx";

const TONES = { serving: "good", late: "bad", starting: "warn", ending: "warn" };

const columns = (target) => [
  { title: "Worker", cell: (one) => <b>{one.slot}</b> },
  { title: "State", cell: (one) => <Badge tone={TONES[one.state]}>{one.state}</Badge> },
  {
    title: "Version",
    figure: true,
    cell: (one) => (one.version === target ? one.version : <Badge tone="warn">{one.version}</Badge>),
  },
  { title: "Longest turn", figure: true, cell: (one) => seconds(one.worst_turn_seconds) },
  { title: "Longest step of an installation", figure: true, cell: (one) => seconds(one.worst_install_step_seconds) },
  { title: "Clients", figure: true, cell: (one) => count(one.client_connections) },
  { title: "Backends", figure: true, cell: (one) => count(one.backend_connections) },
  { title: "CPU time", figure: true, cell: (one) => seconds(one.cpu_seconds) },
  { title: "Memory", figure: true, cell: (one) => mebibytes(one.memory_bytes) },
  { title: "Process", figure: true, cell: (one) => one.pid },
];

export function Workers() {
  const { status } = useLive();
  if (!status) return <Empty>Loading…</Empty>;
  return (
    <div class="view">
      <p>
        {status.workers.length} of {status.workers_wanted} workers run. The newest version of the configuration is{" "}
        {status.target}; every worker serves version {status.version} or a newer one. A turn is one iteration of the
        event loop of a worker: what is longer than usual makes all its clients wait.
      </p>
      <Table caption="Workers" columns={columns(status.target)} items={status.workers} name={(one) => one.slot} />
    </div>
  );
}
