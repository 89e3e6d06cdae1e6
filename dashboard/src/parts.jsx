// Small parts that several views have: badges, conditions, YAML to copy.

import { useRef, useState } from "preact/hooks";

const COPIED = 2_000; // milliseconds for which the button says so

/** `tone`: "good", "bad", "warn" or "neutral". */
export const Badge = ({ tone = "neutral", children }) => <span class={`badge ${tone}`}>{children}</span>;

export const Empty = ({ children }) => <p class="empty">{children}</p>;

export function Conditions({ conditions }) {
  if (!conditions.length) return null;
  return (
    <ul class="conditions">
      {conditions.map((one) => (
        <li key={one.type}>
          <Badge tone={tone(one)}>
            {one.type}={one.status}
          </Badge>{" "}
          <span class="reason">{one.reason}</span>
          <p>{one.message}</p>
        </li>
      ))}
    </ul>
  );
}

const WRONG_IF_TRUE = new Set([
  "Conflicted",
  "PartiallyInvalid",
  "OverlappingTLSConfig",
  "InsecureFrontendValidationMode",
]);
const wrong = (one) => one.status === (WRONG_IF_TRUE.has(one.type) ? "True" : "False");
const tone = (one) => (wrong(one) ? "bad" : one.status === "Unknown" ? "warn" : "good");

/** Whether a condition says that something does not work. */
export const isWrong = (conditions) => conditions.some(wrong);

export function Yaml({ text, label }) {
  const [copied, say] = useState(false);
  const shown = useRef(null);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say(true);
      setTimeout(() => say(false), COPIED);
    } catch {
      getSelection().selectAllChildren(shown.current); // the browser allows no more: without https, not on this machine
    }
  };
  return (
    <div class="yaml">
      <div class="yaml-head">
        <span>{label}</span>
        <button type="button" onClick={copy}>
          <span aria-live="polite">{copied ? "Copied" : "Copy"}</span>
        </button>
      </div>
      <pre ref={shown} tabIndex={0} aria-label={label}>
        {text}
      </pre>
    </div>
  );
}

export function Refused({ one, heading: Heading = "h3" }) {
  return (
    <article class="refused">
      <Heading>
        <span class="kind">{one.kind}</span> {one.object}
      </Heading>
      {one.field && <code>{one.field}</code>}
      <p>{one.message}</p>
      {one.fix && <Yaml text={one.fix} label="This ReferenceGrant would allow it" />}
    </article>
  );
}

export function Facts({ facts }) {
  return (
    <dl class="facts">
      {facts
        .filter(([, value]) => value !== null && value !== undefined && value !== "")
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
