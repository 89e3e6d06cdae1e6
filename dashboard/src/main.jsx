// The page: its head, the state of the gateway in short, and one of the views.

import { render } from "preact";
import { count, plural, rate } from "./format.js";
import { useLive } from "./live.js";
import { Badge } from "./parts.jsx";
import { link, usePlace } from "./place.js";
import { Theme, applyTheme } from "./theme.jsx";
import { VIEWS } from "./views.js";

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
      {status.problems > 0 && (
        <a class="badge bad" href={link("topology", [["problems", "true"]])}>
          {plural(status.problems, "problem")}
        </a>
      )}
      {status.refused_references > 0 && (
        <a class="badge bad" href={link("refused")}>
          {plural(status.refused_references, "refused reference")}
        </a>
      )}
      <span class="dim release">fastroute {status.fastroute}</span>
    </>
  );
}

applyTheme();
render(<Page />, document.getElementById("page"));
