// Grid: a treegrid of which only the visible rows are in the document. Rows have one height. The focus stays at the
// grid; aria-activedescendant names the active row, so it may leave the document when it is scrolled away.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Name, State, numbers } from "./cells.jsx";

const HEIGHT = 34; // pixels of a row, as in the style sheet
const BEYOND = 8; // rows above and below the visible ones
const COLUMNS = [
  ["name", "Name"],
  ["state", "State"],
  ["rate", "Rate"],
  ["errors", "Errors"],
  ["p50", "p50"],
  ["p99", "p99"],
  ["share", "Share"],
];

/**
 * `go` makes a row the active one, `choose` shows its details too.
 * `seen` is called with the rows in the document, after each drawing.
 */
export function Grid({ rows, active, go, choose, close, toggle, expand, seen }) {
  const box = useRef(null);
  const [view, look] = useState({ top: 0, height: 800 });
  const measure = () => look({ top: box.current.scrollTop, height: box.current.clientHeight });
  useLayoutEffect(() => {
    const watching = new ResizeObserver(measure);
    watching.observe(box.current);
    return () => watching.disconnect();
  }, []);
  const first = Math.max(0, Math.floor(view.top / HEIGHT) - BEYOND);
  const shown = rows.slice(first, Math.ceil((view.top + view.height) / HEIGHT) + BEYOND);
  useEffect(() => seen(shown));

  const at = rows.findIndex((row) => row.key === active);
  const move = (index) => {
    const next = Math.max(0, Math.min(rows.length - 1, index));
    if (!rows[next]) return;
    go(rows[next]);
    const { scrollTop, clientHeight } = box.current;
    if (next * HEIGHT < scrollTop) box.current.scrollTop = next * HEIGHT;
    if ((next + 2) * HEIGHT > scrollTop + clientHeight) box.current.scrollTop = (next + 2) * HEIGHT - clientHeight;
  };
  const pressed = (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(view.height / HEIGHT) - 2);
    const row = rows[at];
    const steps = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: rows.length - 1,
    };
    if (event.key in steps) move(steps[event.key]);
    else if (event.key === "ArrowRight" && row?.open === false) toggle(row);
    else if (event.key === "ArrowRight" && row?.open) move(at + 1);
    else if (event.key === "ArrowLeft" && row?.open) toggle(row);
    else if (event.key === "ArrowLeft" && row?.parent) move(rows.findIndex((one) => one.key === row.parent));
    else if (event.key === " " && row?.open !== undefined) toggle(row);
    else if (event.key === "*" && row?.open !== undefined) expand(row);
    else if (event.key === "Enter" && row) choose(row);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
  };
  const visible = at >= first && at < first + shown.length;
  return (
    <div
      class="grid"
      role="treegrid"
      aria-label="Topology"
      aria-rowcount={rows.length + 1}
      aria-activedescendant={visible ? `row-${at}` : undefined}
      tabIndex={0}
      ref={box}
      onScroll={measure}
      onKeyDown={pressed}
      onFocus={() => at < 0 && move(0)}
    >
      <div class="row head" role="row" aria-rowindex={1}>
        {COLUMNS.map(([name, title]) => (
          <div class={`cell ${name}`} role="columnheader" key={name}>
            {title}
          </div>
        ))}
      </div>
      <div role="rowgroup" class="body" style={{ height: `${rows.length * HEIGHT}px` }}>
        {shown.map((row, index) => (
          <Row
            key={row.key}
            row={row}
            index={first + index}
            active={first + index === at}
            choose={choose}
            toggle={toggle}
          />
        ))}
      </div>
    </div>
  );
}

function Row({ row, index, active, choose, toggle }) {
  const values = { ...numbers(row), state: <State row={row} /> };
  const turn = (event) => {
    event.stopPropagation();
    toggle(row);
  };
  return (
    <div
      id={`row-${index}`}
      class={`row ${row.kind} ${active ? "active" : ""}`}
      role="row"
      aria-level={row.level}
      aria-expanded={row.open}
      aria-selected={active}
      aria-rowindex={index + 2}
      style={{ top: `${index * HEIGHT}px` }}
      onClick={() => choose(row)}
      onDblClick={row.open === undefined ? undefined : turn}
    >
      {COLUMNS.map(([name]) => (
        <div
          class={`cell ${name}`}
          role="gridcell"
          key={name}
          style={name === "name" ? { paddingLeft: `${row.level * 18 - 8}px` } : undefined}
        >
          {name === "name" && (
            <span class="turn" aria-hidden="true" onClick={row.open === undefined ? undefined : turn}>
              {MARKS[row.open]}
            </span>
          )}
          {name === "name" ? <Name row={row} /> : values[name]}
        </div>
      ))}
    </div>
  );
}

const MARKS = { true: "▾", false: "▸", undefined: "" };
