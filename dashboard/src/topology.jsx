// The topology: the tree, the search, and the details of the active row.

import { useEffect, useReducer, useRef, useState } from "preact/hooks";
import { Detail } from "./detail.jsx";
import { plural } from "./format.js";
import { Grid } from "./grid.jsx";
import { live, useLive } from "./live.js";
import { link } from "./place.js";
import { Tree, routesBelow } from "./tree.js";

const TYPING = 250; // milliseconds after a key until the search starts

export function Topology({ query }) {
  const search = query.get("search") ?? "";
  const problems = query.get("problems") === "true";
  const tree = useRef(null);
  const [active, go] = useState(null); // the key of a row
  const [detailed, detail] = useState(false);
  const [said, say] = useState("");
  const [, draw] = useReducer((times) => times + 1, 0);
  if (tree.current?.search !== search || tree.current?.problems !== problems) tree.current = new Tree(search, problems);
  const shown = useRef([]);
  useLive(() => tree.current.refresh(shown.current));
  const rows = tree.current.rows();
  const known = useRef(new Set());
  const seen = (visible) => {
    shown.current = visible;
    const waiting = visible.filter(
      (row) => row.kind === "more" || (row.kind === "backend" && row.open && !row.data.known.length),
    );
    const fresh = waiting.filter((row) => !known.current.has(row.key));
    known.current = new Set(waiting.map((row) => row.key));
    if (fresh.length) tree.current.refresh(fresh).then(draw, () => live.soon());
  };
  const toggle = (row) => {
    tree.current.toggle(row);
    go(row.key);
    draw();
  };
  const collapse = () => {
    tree.current.collapse();
    say("");
    draw();
  };
  const expand = (row) => {
    const routes = row ? routesBelow(row) : (tree.current.found?.total ?? live.status?.routes);
    if (routes === undefined) return say("The routes are not counted yet. Try again in a moment.");
    const all = tree.current.expand(row, routes);
    say(all ? "" : `There are ${plural(routes, "route")}: only Gateways and listeners were opened.`);
    draw();
  };
  const choose = (row) => {
    go(row.key);
    detail(row.kind !== "more");
  };
  const row = detailed && rows.find((one) => one.key === active);
  const none = !rows.length;
  return (
    <div class="topology">
      <Search search={search} problems={problems} collapse={collapse} expand={() => expand(null)} />
      <p class="said" role="status">
        {said}
      </p>
      <div class={`split ${row ? "detailed" : ""}`}>
        <Grid
          key={`${search} ${problems}`}
          rows={rows}
          active={active}
          go={(one) => go(one.key)}
          choose={choose}
          close={() => detail(false)}
          toggle={toggle}
          expand={expand}
          seen={seen}
        />
        {row && <Detail row={row} close={() => detail(false)} />}
        {none && <p class="empty over">{search || problems ? "Nothing was found." : "No Gateway is served."}</p>}
      </div>
    </div>
  );
}

function Search({ search, problems, collapse, expand }) {
  const field = useRef(null);
  const timer = useRef(null);
  const go = (words, only) => {
    location.hash = link("topology", [
      ["search", words],
      ["problems", only && "true"],
    ]);
  };
  useEffect(() => {
    const pressed = (event) => {
      const typing = event.target.matches?.("input, textarea, select");
      if (event.key === "/" && !typing) {
        event.preventDefault();
        field.current.focus();
      }
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
  useEffect(() => {
    if (document.activeElement !== field.current) field.current.value = search; // by Back, or by a link
  }, [search]);
  const clear = () => {
    clearTimeout(timer.current);
    field.current.value = "";
    go("", problems);
  };
  const chosen = (event) => go(field.current.value, event.target.checked);
  const typed = (event) => {
    const words = event.target.value;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => go(words, problems), TYPING);
  };
  return (
    <div class="tools" role="search">
      <label>
        <span class="hidden">Search routes and Gateways</span>
        <input
          ref={field}
          type="search"
          placeholder="Search names, hosts, backends  ( / )"
          defaultValue={search}
          onInput={typed}
          onKeyDown={(event) => event.key === "Escape" && clear()}
        />
      </label>
      <label class="check">
        <input type="checkbox" checked={problems} onChange={chosen} />
        <span>Only problems</span>
      </label>
      <button type="button" onClick={expand}>
        Expand all
      </button>
      <button type="button" onClick={collapse}>
        Collapse all
      </button>
    </div>
  );
}
