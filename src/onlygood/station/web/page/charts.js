// Charts as SVG, drawn at the width they have, so that their letters keep their size.

import { h, replace, s } from "./dom.js";
import { score, tick } from "./format.js";

const LEFT = 52;
const RIGHT = 16;

/** An element that draws itself anew whenever its width changes. */
export function chart(draw, label) {
  const element = h("div", { class: "chart", role: "group", "aria-label": label });
  const paint = () => {
    const width = Math.floor(element.clientWidth);
    if (width > 0) replace(element, draw(width));
  };
  const watch = new ResizeObserver(() => {
    if (Math.floor(element.clientWidth) !== element.drawn) {
      element.drawn = Math.floor(element.clientWidth);
      paint();
    }
  });
  watch.observe(element);
  return { element, paint, close: () => watch.disconnect() };
}

/** Round steps that divide a span into about `count`. */
export function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((one) => one * power >= rough) * power;
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, index) => (first + index) * step);
}

/** From values to pixels. */
export const scale = (low, high, from, to) => (value) => from + ((to - from) * (value - low)) / (high - low || 1);

/** The value below which a share of the scores lies. */
export function quantile(scores, share) {
  const sorted = [...scores].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

/** Span of scores that a histogram shows: outliers are gathered in the last bin. */
export function span(sets, marks = []) {
  const all = sets.flat();
  const known = marks.filter((mark) => mark !== null);
  if (!all.length && !known.length) return [0, 1];
  const low = Math.min(...all, ...known);
  const high = Math.max(...known.map((mark) => mark + 0.35 * Math.abs(mark - Math.min(low, 0))), ...sets.filter((set) => set.length).map((set) => quantile(set, 0.97)));
  const margin = 0.04 * (high - low || 1);
  return [low - margin, high + margin];
}

function counts(scores, low, high, bins) {
  const heights = new Array(bins).fill(0);
  for (const value of scores) heights[Math.min(bins - 1, Math.max(0, Math.floor((bins * (value - low)) / (high - low))))] += 1;
  return heights;
}

/**
 * Several sets of scores over one axis, each as shares of its own number, first filled, then outlined.
 * sets: [{ scores, className }], zones: {ng, review} or null. Returns the drawing and its scale.
 */
export function histogram(width, height, sets, [low, high], zones = null) {
  const top = 26;
  const bottom = height - 34;
  const x = scale(low, high, LEFT, width - RIGHT);
  const bins = Math.max(12, Math.min(60, Math.floor(width / 16)));
  const shares = sets.map(({ scores }) => counts(scores, low, high, bins).map((count) => (scores.length ? count / scores.length : 0)));
  const most = Math.max(0.01, ...shares.flat());
  const y = scale(0, most, bottom, top);
  const edge = (bin) => x(low + ((high - low) * bin) / bins);
  const drawing = s("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
  if (zones) {
    const ng = zones.ng ?? high;
    const review = Math.min(zones.review ?? ng, ng);
    for (const [name, from, to] of [["ok", low, review], ["review", review, ng], ["ng", ng, high]]) {
      const ends = [from, to].map((value) => x(Math.min(high, Math.max(low, value))));
      drawing.append(s("rect", { class: `area ${name}`, x: ends[0], y: top, width: Math.max(0, ends[1] - ends[0]), height: bottom - top }));
    }
  }
  for (const share of ticks(0, most, 3)) {
    drawing.append(s("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(share), y2: y(share) }), s("text", { x: LEFT - 8, y: y(share) + 4, "text-anchor": "end" }, `${Math.round(100 * share)} %`));
  }
  shares.forEach((heights, index) => {
    if (sets[index].outline) {
      const path = heights.map((share, bin) => `L${edge(bin)} ${y(share)}H${edge(bin + 1)}`).join("");
      drawing.append(s("path", { class: `line ${sets[index].className}`, d: `M${edge(0)} ${bottom}${path}V${bottom}` }));
    } else {
      for (const [bin, share] of heights.entries()) {
        if (share) drawing.append(s("rect", { class: `bin ${sets[index].className}`, x: edge(bin) + 0.5, y: y(share), width: Math.max(1, edge(bin + 1) - edge(bin) - 1), height: bottom - y(share) }));
      }
    }
  });
  const beyond = Math.max(...sets.flatMap(({ scores }) => scores), low) > high;
  drawing.append(s("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: bottom, y2: bottom }));
  for (const value of ticks(low, high, Math.max(3, Math.floor(width / 130)))) {
    if (x(value) > width - RIGHT - 84 && beyond) continue;
    drawing.append(s("line", { class: "axis", x1: x(value), x2: x(value), y1: bottom, y2: bottom + 5 }), s("text", { x: x(value), y: bottom + 20, "text-anchor": "middle" }, tick(value)));
  }
  if (beyond) drawing.append(s("text", { x: width - RIGHT, y: bottom + 20, "text-anchor": "end" }, `≥ ${score(high)}`));
  return { drawing, x, top, bottom, value: scale(LEFT, width - RIGHT, low, high) };
}

/** What the colours of a chart mean. */
export const legend = (entries) => h("ul", { class: "legend" }, entries.map(([className, text]) => h("li", {}, h("i", { class: className }), text)));
