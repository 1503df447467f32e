// A verdict is always a word, a symbol of its own outline and a colour: never the colour alone.

import { h, s } from "./dom.js";
import { t } from "./i18n.js";

const OUTLINES = {
  OK: [s.bind(null, "circle", { cx: 12, cy: 12, r: 10.5 }), "M7 12.6l3.4 3.4 6.8-7.6"],
  REVIEW: [s.bind(null, "path", { d: "M12 1.2L23.6 22H.4z", "stroke-linejoin": "round" }), "M12 8.6v5M12 18v.01"],
  NG: [s.bind(null, "path", { d: "M7.7 1.6h8.6l6.1 6.1v8.6l-6.1 6.1H7.7l-6.1-6.1V7.7z" }), "M8 8l8 8M16 8l-8 8"],
};

/** The word a verdict is shown by. */
export function word(verdict) {
  return { OK: t("verdict.ok"), REVIEW: t("verdict.review"), NG: t("verdict.ng") }[verdict] ?? verdict;
}

/** The symbol: check in a circle, exclamation mark in a triangle, cross in an octagon. */
export function symbol(verdict) {
  const [outline, mark] = OUTLINES[verdict] ?? OUTLINES.REVIEW;
  return s(
    "svg",
    { viewBox: "0 0 24 24", class: "symbol", "aria-hidden": "true" },
    outline(),
    s("path", { d: mark, class: "mark" }),
  );
}

/** Symbol and word in a small sign. */
export function sign(verdict) {
  return h("span", { class: `sign ${verdict.toLowerCase()}` }, symbol(verdict), word(verdict));
}

/** What an operator answered, in few words. */
export function answered(decision) {
  if (!decision.answer) return null;
  const { answer, who } = decision.answer;
  return h("span", { class: `answered ${answer.toLowerCase()}` }, symbol(answer), t("answer.by", { answer: word(answer), who: who || "–" }));
}
