// Numbers and times as the reader's language writes them.

import { inUse } from "./i18n.js";

const DASH = "–";
const known = (value) => typeof value === "number" && Number.isFinite(value);

/** A whole number with its groups of three. */
export const whole = (value) => (known(value) ? Math.round(value).toLocaleString(inUse()) : DASH);

/** A score: as many digits as tell neighbours apart. */
export const score = (value) => (known(value) ? value.toLocaleString(inUse(), { maximumSignificantDigits: 4, minimumSignificantDigits: Math.abs(value) >= 1000 ? 1 : 4 }) : DASH);

/** A round number on an axis. */
export const tick = (value) => Number(value.toPrecision(6)).toLocaleString(inUse());

/** A score as a number input wants it. */
export const typed = (value) => (known(value) ? String(Number(value.toPrecision(6))) : "");

/** A share as percent, never rounded to 0 or 100 unless it is. */
export function percent(value) {
  if (!known(value)) return DASH;
  const small = value > 0 && value < 0.001;
  const large = value < 1 && value > 0.999;
  return value.toLocaleString(inUse(), { style: "percent", maximumFractionDigits: small || large ? 3 : 1 });
}

/** Milliseconds. */
export const milliseconds = (value) => (known(value) ? `${value.toLocaleString(inUse(), { maximumFractionDigits: value < 10 ? 1 : 0 })} ms` : DASH);

/** Time of day with seconds; with the date if it is not today's. */
export function moment(text) {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return DASH;
  const today = new Date().toDateString() === time.toDateString();
  return time.toLocaleString(inUse(), { ...(today ? {} : { dateStyle: "medium" }), timeStyle: "medium", hourCycle: "h23" });
}

/** The first digits of a hash. */
export const short = (digest) => (digest ? digest.slice(0, 8) : DASH);

/** A very large or small quotient: 12, 3,400 or 10^6. */
export function large(log10) {
  if (!known(log10)) return DASH;
  if (log10 < -2) return `10^${Math.floor(log10)}`;
  if (log10 >= 6) return `10^${Math.floor(log10)}`;
  return (10 ** log10).toLocaleString(inUse(), { maximumSignificantDigits: 2 });
}
