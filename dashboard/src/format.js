// How numbers and times are written.

const FINE = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const PARTS = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const NOTHING = "–";

export const count = (number) => WHOLE.format(number);

/** "12.3", "1,234": three digits, or all before the point. */
export const number = (value) =>
  value == null ? NOTHING : Math.abs(value) >= 100 ? WHOLE.format(value) : FINE.format(value);

export const rate = (value) => (value == null ? NOTHING : `${number(value)}/s`);

/** What is not nothing is not shown as nothing. */
export function percent(value) {
  if (value == null) return NOTHING;
  return value > 0 && value < 0.001 ? "<0.1 %" : `${PARTS.format(value * 100)} %`;
}

export function seconds(value) {
  if (value == null) return NOTHING;
  if (value >= 1) return `${FINE.format(value)} s`;
  return value >= 0.001 ? `${FINE.format(value * 1e3)} ms` : `${FINE.format(value * 1e6)} µs`;
}

export const mebibytes = (bytes) => `${WHOLE.format(bytes / (1 << 20))} MiB`;

const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "in 30 days", "2 hours ago". */
export function distance(moment, now) {
  const passed = (Date.parse(moment) - now) / 1000;
  const [unit, size] = UNITS.find(([, size]) => Math.abs(passed) >= 2 * size) ?? UNITS.at(-1);
  const amount = Math.floor(Math.abs(passed) / size);
  const words = `${count(amount)} ${unit}${amount === 1 ? "" : "s"}`;
  return passed < 0 ? `${words} ago` : `in ${words}`;
}

export const day = (moment) => moment.slice(0, 10);

export const plural = (amount, word) => `${count(amount)} ${word}${amount === 1 ? "" : "s"}`;
