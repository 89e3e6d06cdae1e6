// The page: its head, the state of the gateway in short, and one of the views.

import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "./api.js";
import { count, plural, rate } from "./format.js";
import { useLive } from "./live.js";
import { Badge } from "./parts.jsx";
import { link, usePlace } from "./place.js";
import { TYPES, named } from "./problems.jsx";
import { Theme, applyTheme } from "./theme.jsx";
import { VIEWS } from "./views.js";

const SELDOM = 30_000; // milliseconds between two questions for warnings

function Page() {
  const { name, query } = usePlace();
  const { title, View } = VIEWS[name] ?? VIEWS.topology;
  document.title = `${title} – fastroute`;
  return (
    <>
      <header>
        <a class="brand" href={link("topology")}>
          <img src="dashboard.svg" alt="" width="22" height="22" /> fastroute
        </a>
        <nav aria-label="Views">
          {Object.entries(VIEWS).map(([key, view]) => (
            <a key={key} href={link(key)} aria-current={view.View === View ? "page" : undefined}>
              {view.title}
            </a>
          ))}
        </nav>
        <Theme />
      </header>
      <Summary />
      <main>
        <h1 class="hidden">{title}</h1>
        <View query={query} />
      </main>
    </>
  );
}

function Summary() {
  const { status, trouble } = useLive();
  return (
    <section class="summary" aria-label="State of the gateway">
      <span role="alert">{trouble && <Badge tone="bad">{trouble}</Badge>}</span>
      {!status && !trouble && <span class="dim">Loading…</span>}
      {status && <Known {...status} />}
    </section>
  );
}

function Known(status) {
  const behind = status.version !== status.target;
  return (
    <>
      <Badge tone={status.ready ? "good" : "warn"}>{status.ready ? "Ready" : "Not ready"}</Badge>
      <Badge tone={behind ? "warn" : "neutral"}>
        Version {status.version}
        {behind && `, ${status.target} was sent`}
      </Badge>
      <span>
        <b>{status.workers.length}</b> of {plural(status.workers_wanted, "worker")}
      </span>
      <span>
        <b>{count(status.gateways)}</b> {status.gateways === 1 ? "Gateway" : "Gateways"}
      </span>
      <span>
        <b>{count(status.routes)}</b> {status.routes === 1 ? "route" : "routes"}
      </span>
      <span>
        <b>{status.window_seconds ? rate(status.rate) : "–"}</b>
      </span>
      <Wrong {...status} />
      <span class="dim release">fastroute {status.fastroute}</span>
    </>
  );
}

/** Each type of problem by itself; each leads to its list. */
function Wrong(status) {
  const warnings = useWarnings();
  const counts = {
    failing: status.failing_routes,
    refused: status.refused_references,
    condition: status.problems - status.refused_references,
    not_bound: status.not_bound,
    certificate: status.certificates_ending,
    warning: warnings,
  };
  return Object.keys(TYPES)
    .filter((type) => counts[type] > 0)
    .map((type) => (
      <a key={type} class={`badge ${TYPES[type][1]}`} href={link("problems", [["type", type]])}>
        {named(type, counts[type])}
      </a>
    ));
}

/** Warnings take long to find with many routes, so they are not asked for in each round. They may change without a new
 * version: an unused ReferenceGrant changes nothing that the workers serve. */
function useWarnings() {
  const [found, know] = useState(0);
  const asked = useRef(null); // when: milliseconds
  const { status } = useLive();
  useEffect(() => {
    const now = Date.now();
    if (asked.current && now - asked.current < SELDOM) return;
    asked.current = now;
    ask("problems", [
      ["type", "warning"],
      ["limit", 1],
    ]).then(
      (answer) => know(answer.counts.warning),
      () => (asked.current = null),
    );
  }, [status]);
  return found;
}

applyTheme();
render(<Page />, document.getElementById("page"));
