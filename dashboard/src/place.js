// The place in the page: the part of the URL after "#", as in "#/topology?search=fruits". It can be copied, and the
// browser's Back works.

import { useEffect, useState } from "preact/hooks";

export function place() {
  const [name, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return { name: name || "topology", query: new URLSearchParams(query) };
}

export function link(name, parameters = []) {
  const query = new URLSearchParams(parameters.filter(([, value]) => value)).toString();
  return `#/${name}${query && `?${query}`}`;
}

export function usePlace() {
  const [here, move] = useState(place);
  useEffect(() => {
    const moved = () => move(place());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return here;
}
