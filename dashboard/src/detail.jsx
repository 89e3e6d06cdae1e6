// The details of a row of the topology, beside the tree.

import { count, percent, plural, rate, seconds } from "./format.js";
import { Badge, Conditions, Facts, Refused } from "./parts.jsx";
import { shareTrouble } from "./tree.js";

const VIEWS = { gateway: Gateway, listener: Listener, route: Route, rule: Rule, backend: Backend, endpoint: Endpoint };

export function Detail({ row, close }) {
  const View = VIEWS[row.kind];
  if (!View) return null;
  return (
    <aside class="detail" aria-label="Details" onKeyDown={(event) => event.key === "Escape" && close()}>
      <button type="button" class="quiet close" onClick={close} aria-label="Close the details">
        ✕
      </button>
      <View {...row.data} />
    </aside>
  );
}

const Title = ({ kind, children }) => (
  <h2>
    <span class="kind">{kind}</span> {children}
  </h2>
);

function Gateway({ name, class_name: className, addresses, conditions, listeners_total: total, listeners, refused }) {
  return (
    <>
      <Title kind="Gateway">{name}</Title>
      <Facts
        facts={[
          ["Class", className],
          ["Addresses", addresses.join(", ")],
          ["Listeners", total],
        ]}
      />
      {total > listeners.length && <p>The first {listeners.length} listeners are shown.</p>}
      {refused.map((one) => (
        <Refused key={one.field} one={one} />
      ))}
      <Conditions conditions={conditions} />
    </>
  );
}

function Listener({ name, gateway, protocol, port, hostname, binds, routes, rate: speed, conditions }) {
  return (
    <>
      <Title kind="Listener">{name}</Title>
      <Facts
        facts={[
          ["Gateway", gateway],
          ["Protocol", `${protocol}, port ${port}`],
          ["Host", hostname ?? "any"],
          ["Routes", routes],
          ["Rate", rate(speed)],
        ]}
      />
      <ul class="plain">
        {binds.map((one) => (
          <li key={one.address}>
            <Badge tone={one.error ? "bad" : "good"}>{one.error ? "not bound" : "bound"}</Badge>{" "}
            <code>{one.address}</code> {one.error}
          </li>
        ))}
      </ul>
      <Conditions conditions={conditions} />
    </>
  );
}

function Route({ kind, name, hostnames, parents, rate: speed, error_ratio: errors, latency, refused, failing, rules }) {
  return (
    <>
      <Title kind={kind}>{name}</Title>
      <Facts
        facts={[
          ["Hosts", hostnames.join(", ") || "any"],
          ["Rules", rules.length],
          ["Rate", rate(speed)],
          ["Errors", percent(errors)],
          [
            "Latency",
            latency && `p50 ${seconds(latency.p50)}, p90 ${seconds(latency.p90)}, p99 ${seconds(latency.p99)}`,
          ],
        ]}
      />
      {failing.map((text) => (
        <p key={text}>
          <Badge tone="bad">fails</Badge> {text}
        </p>
      ))}
      {refused.map((one) => (
        <Refused key={one.field} one={one} />
      ))}
      {parents.map((one) => (
        <section key={`${one.kind} ${one.name} ${one.section} ${one.port}`}>
          <h3>
            <span class="kind">at {one.kind}</span> {one.name} {one.section && `listener ${one.section}`}{" "}
            {one.port && `port ${one.port}`}
          </h3>
          <Conditions conditions={one.conditions} />
        </section>
      ))}
    </>
  );
}

function Rule({ name, matches, backends, route }) {
  return (
    <>
      <Title kind={`Rule of ${route.name}`}>{name}</Title>
      <Facts
        facts={[
          ["Matches", matches.join(" or ") || "everything"],
          ["Backends", backends.length],
        ]}
      />
      <ul class="plain">
        {backends.map((one) => (
          <li key={one.backend}>
            <code>{one.backend}</code> {percent(one.wanted)} wanted, {percent(one.seen)} seen{" "}
            {one.reason && <Reason share={one} />}
          </li>
        ))}
      </ul>
    </>
  );
}

/** Why a share gets no requests: nothing is wrong with one of weight 0 that has no endpoint. */
const Reason = ({ share }) => <Badge tone={shareTrouble(share) ? "bad" : "neutral"}>{share.reason}</Badge>;

function Backend(share) {
  const { backend, weight, wanted, seen, error_ratio: errors, reason, message, route, known } = share;
  return (
    <>
      <Title kind="Backend">{backend}</Title>
      <Facts
        facts={[
          ["Route", route.name],
          ["Weight", weight],
          ["Share wanted", percent(wanted)],
          ["Share seen", percent(seen)],
          ["Errors", percent(errors)],
          ["Protocol", known.map((one) => one.protocol).join(", ")],
          [
            "TLS policy",
            known
              .map((one) => one.tls_policy)
              .filter(Boolean)
              .join(", "),
          ],
          ["Endpoints", known.length ? plural(Math.max(...known.map((one) => one.endpoints_total)), "endpoint") : null],
        ]}
      />
      {reason && (
        <p>
          <Reason share={share} /> {message}
        </p>
      )}
      {reason &&
        route.refused.filter((one) => one.message === message).map((one) => <Refused key={one.field} one={one} />)}
      {known
        .flatMap((one) => one.messages)
        .map((text) => (
          <p key={text}>{text}</p>
        ))}
    </>
  );
}

function Endpoint({ address, state, used, avoided, protocol, share, failures, last_failure: last, ...more }) {
  const reasons = Object.entries(more.failure_reasons).sort(([, one], [, other]) => other - one);
  return (
    <>
      <Title kind="Endpoint">{address}</Title>
      <Facts
        facts={[
          ["Backend", share.backend],
          ["Protocol", protocol],
          ["State", state],
          ["Gets requests", used ? (avoided ? "only if there is no other: connections to it failed" : "yes") : "no"],
          ["Failures in the last minute", failures ? count(more.recent_failures) : null],
          ["Failures so far", reasons.map(([reason, times]) => `${reason} ${count(times)}`).join(", ")],
          ["Last failure", last],
        ]}
      />
    </>
  );
}
