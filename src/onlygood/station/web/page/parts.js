// Small pieces that several views show of a part: thumbnail, score against the thresholds, facts.

import { ofDecision } from "./api.js";
import { h, s } from "./dom.js";
import { milliseconds, moment, percent, score, short, whole } from "./format.js";
import { t } from "./i18n.js";
import { sign, symbol, word } from "./verdicts.js";

/** The little image of a part with its verdict's sign; opens the part. */
export function thumbnail(decision, open, { current = false } = {}) {
  const image = decision.picture
    ? h("img", { src: ofDecision(decision.id, "/thumbnail.jpg"), alt: "", loading: "lazy", decoding: "async", onerror: () => image.replaceWith(h("span", { class: "blank" })) })
    : h("span", { class: "blank" });
  return h(
    "button",
    {
      type: "button", class: `thumbnail ${decision.verdict.toLowerCase()}`, "aria-current": current ? "true" : null, title: decision.name,
      "aria-label": t("part.open", { name: decision.name, verdict: word(decision.verdict) }), onclick: () => open(decision),
    },
    image,
    h("span", { class: "corner" }, symbol(decision.verdict)),
  );
}

/** The score on a bar whose zones are the verdicts'. */
export function scoreBar(decision, { slim = false } = {}) {
  const { ng, review } = decision.thresholds;
  const value = decision.score;
  const low = Math.min(0, value, review ?? 0);
  const high = Math.max(value * 1.04, (ng ?? review ?? value) * 1.5, low + 1e-9);
  const at = (x) => (100 * (Math.min(high, Math.max(low, x)) - low)) / (high - low);
  const zone = (name, from, to) => s("rect", { class: `zone ${name}`, x: at(from), y: 0, width: Math.max(0, at(to) - at(from)), height: 10 });
  const bar = s(
    "svg",
    { viewBox: "0 0 100 10", preserveAspectRatio: "none", class: "bar", "aria-hidden": "true" },
    zone("ok", low, review ?? ng ?? high),
    review === null ? null : zone("review", review, ng ?? high),
    ng === null ? null : zone("ng", ng, high),
  );
  const marker = s("svg", { viewBox: "0 0 100 10", class: "pointer", preserveAspectRatio: "none", "aria-hidden": "true" }, s("line", { x1: at(value), x2: at(value), y1: 0, y2: 10 }));
  if (slim) return h("span", { class: "score slim" }, h("b", {}, score(value)), h("span", { class: "track" }, bar, marker));
  return h(
    "div",
    { class: "score" },
    h("p", {}, h("span", { class: "label" }, t("part.score")), h("b", {}, score(value)), h("span", { class: "limits" }, limits(decision.thresholds))),
    h("div", { class: "track" }, bar, marker),
  );
}

/** The thresholds in words. */
export function limits({ ng, review }) {
  if (ng === null && review === null) return t("part.no-thresholds");
  if (ng === null) return t("part.limit-review", { review: score(review) });
  return t("part.limits", { ng: score(ng), review: score(review) });
}

/** Regions as buttons that look closer. */
export function regionList(decision, picture) {
  if (!decision.regions.length) return h("p", { class: "soft" }, t("part.no-regions"));
  const most = 4;
  return h(
    "ol",
    { class: "regions" },
    decision.regions.slice(0, most).map((region, index) =>
      h("li", {}, h("button", { type: "button", class: "region-button", onclick: () => picture.zoom(region.box) }, h("span", { class: "number" }, String(index + 1)), t("part.region", { area: whole(region.area), peak: score(region.peak) }))),
    ),
    decision.regions.length > most ? h("li", { class: "soft" }, t("part.more-regions", { count: decision.regions.length - most })) : null,
  );
}

/** Name and what else is known, as a list. */
export function facts(decision) {
  const reason = { structural: t("part.structural"), logical: t("part.logical") }[decision.reason];
  const rows = [
    [t("part.verdict"), sign(decision.verdict)],
    [t("part.time"), moment(decision.time)],
    [t("part.recipe"), decision.recipe],
    [t("part.source"), decision.source],
    [t("part.p-value"), percent(decision.p_value)],
    reason ? [t("part.reason"), reason] : null,
    [t("part.size"), `${decision.width} × ${decision.height}`],
    [t("part.inspected-in"), t("part.times", { inspect: milliseconds(decision.inspect_ms), wait: milliseconds(decision.wait_ms) })],
    [t("part.model"), short(decision.model)],
  ];
  return h("dl", { class: "facts" }, rows.filter(Boolean).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}
