// Light or dark: as the system asks for, until the operator chooses.

import { useEffect, useState } from "preact/hooks";

const KEPT = "fastroute-theme";
const DARK = matchMedia("(prefers-color-scheme: dark)");
const present = () => document.documentElement.dataset.theme ?? (DARK.matches ? "dark" : "light");

/** Before the first drawing. */
export function applyTheme() {
  const kept = localStorage.getItem(KEPT);
  if (kept) document.documentElement.dataset.theme = kept;
}

export function Theme() {
  const [theme, choose] = useState(present);
  useEffect(() => {
    const changed = () => choose(present());
    DARK.addEventListener("change", changed);
    return () => DARK.removeEventListener("change", changed);
  }, []);
  const other = theme === "dark" ? "light" : "dark";
  const change = () => {
    document.documentElement.dataset.theme = other;
    localStorage.setItem(KEPT, other);
    choose(other);
  };
  return (
    <button type="button" class="quiet" onClick={change}>
      {other === "dark" ? "Dark theme" : "Light theme"}
    </button>
  );
}
