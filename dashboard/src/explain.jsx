// A question to `explain`: where a request goes, and why not elsewhere. The question is in the URL of the page.

import { useEffect, useState } from "preact/hooks";
import { ask } from "./api.js";
import { Explanation } from "./explanation.jsx";
import { link } from "./place.js";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];
const CREDENTIAL = /^\s*(authorization|proxy-authorization|cookie|x-api-key)\s*:.*$/i;
let typed = { asked: "", headers: [] }; // the last question with all values: those of credentials are not in the URL

const headersOf = (query) => (typed.asked === query.toString() ? typed.headers : query.getAll("header"));
const isRequest = (url) => /^https?:/i.test(url.trim());

function parametersOf(query) {
  const url = query.get("url") ?? "";
  const headers = headersOf(query).map((text) => ["header", text]);
  return [
    ["url", url],
    ["method", isRequest(url) ? (query.get("method") ?? "GET") : ""],
    ["gateway", query.get("gateway")],
    ...headers,
  ];
}

export function Explain({ query }) {
  const [told, tell] = useState(null); // {asked, answer} or {asked, error}
  const [times, again] = useState(0);
  const asked = query.toString();
  useEffect(() => {
    if (!query.get("url")) return tell(null);
    let left = false;
    ask("explain", parametersOf(query)).then(
      (answer) => left || tell({ asked, answer }),
      (error) => left || tell({ asked, error: error.message }),
    );
    return () => (left = true);
  }, [asked, times]);
  return (
    <div class="view">
      <Question key={asked} query={query} again={() => again(times + 1)} />
      <div aria-live="polite">
        {told?.error && <p class="error">{told.error}</p>}
        {told?.answer && <Explanation {...told.answer} />}
      </div>
    </div>
  );
}

function Question({ query, again }) {
  const submitted = (event) => {
    event.preventDefault();
    const { method, url, gateway, headers } = event.target.elements;
    const lines = headers.value.split("\n").filter((line) => line.trim());
    const parameters = [
      ["method", method.value],
      ["url", url.value.trim()],
      ["gateway", gateway.value.trim()],
    ];
    const shown = lines.map((line) => ["header", line.trim().replace(CREDENTIAL, "$1:")]);
    const hash = link("explain", [...parameters, ...shown]);
    typed = { asked: hash.split("?")[1], headers: lines.map((line) => line.trim()) };
    if (location.hash === hash) again();
    else location.hash = hash;
  };
  return (
    <form onSubmit={submitted} aria-label="Question">
      <label>
        <span>Method</span>
        <select name="method" defaultValue={query.get("method") ?? "GET"}>
          {METHODS.map((name) => (
            <option key={name} selected={name === (query.get("method") ?? "GET")}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span>URL, or tcp://, tls://, udp:// with host and port</span>
        <input name="url" required placeholder="http://www.example.com/fruits" defaultValue={query.get("url") ?? ""} />
      </label>
      <label>
        <span>Gateway (all, if empty)</span>
        <input name="gateway" placeholder="namespace/name" defaultValue={query.get("gateway") ?? ""} />
      </label>
      <button type="submit" class="main">
        Explain
      </button>
      <label class="wide">
        <span>Header fields, one in a line</span>
        <textarea name="headers" rows={2} placeholder="X-Version: 2" defaultValue={headersOf(query).join("\n")} />
      </label>
    </form>
  );
}
