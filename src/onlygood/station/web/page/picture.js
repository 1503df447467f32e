// The image of a part with its anomaly map over it and its regions, in one coordinate system: the image's pixels.

import { ofDecision } from "./api.js";
import { h, memory, replace, s } from "./dom.js";
import { percent } from "./format.js";
import { t } from "./i18n.js";

const LOADING_MS = 400;
const ZOOM = 3;

let opacity = Number(memory.get("opacity", "0.6"));
let regionsShown = memory.get("regions", "yes") === "yes";
const all = new Set();

/** Loads an image, so that showing it later is instant; false if it cannot be had. */
async function fetched(path) {
  const image = new Image();
  image.src = path;
  try {
    await image.decode();
    return true;
  } catch {
    return false;
  }
}

/** How strongly maps are drawn, on every picture of this browser. */
export function setOpacity(value) {
  opacity = Math.min(1, Math.max(0, Math.round(value * 20) / 20));
  memory.set("opacity", String(opacity));
  for (const picture of all) picture.restyle();
}

/** One step more or less. */
export const stepOpacity = (sign) => setOpacity(opacity + 0.1 * sign);

/** Outlines of regions on or off, likewise. */
export function toggleRegions() {
  regionsShown = !regionsShown;
  memory.set("regions", regionsShown ? "yes" : "no");
  for (const picture of all) picture.restyle();
}

export class Picture {
  constructor() {
    this.canvas = s("svg", { class: "canvas", role: "img", preserveAspectRatio: "xMidYMid meet" });
    this.note = h("p", { class: "note" });
    this.slider = h("input", {
      type: "range", min: 0, max: 1, step: 0.05, "aria-label": t("picture.opacity"), class: "opacity",
      oninput: () => setOpacity(Number(this.slider.value)),
    });
    this.share = h("output", { class: "share" });
    this.outlines = h("button", { type: "button", class: "toggle", onclick: toggleRegions }, t("picture.regions"));
    this.element = h(
      "figure",
      { class: "picture" },
      h("div", { class: "stage" }, this.canvas, this.note),
      h("figcaption", {}, h("label", { class: "slider" }, h("span", {}, t("picture.map")), this.slider, this.share), h("span", { class: "ramp", "aria-hidden": "true" }), this.outlines),
    );
    this.canvas.addEventListener("click", (event) => this.#click(event));
    this.turn = 0;
    this.decision = null;
    this.#say("");
    all.add(this);
    this.restyle();
  }

  /** No longer on the page. */
  close() {
    all.delete(this);
  }

  /** Show a decision's image once it is there. False if another one was asked for meanwhile. */
  async show(decision) {
    const turn = ++this.turn;
    const paths = decision.picture ? [ofDecision(decision.id, "/image?display=true")] : [];
    if (decision.map_picture) paths.push(ofDecision(decision.id, "/overlay.png"));
    const loading = Promise.all(paths.map(fetched));
    const got = await Promise.race([loading, new Promise((done) => setTimeout(done, LOADING_MS, null))]);
    if (turn !== this.turn) return false;
    this.#draw(decision, paths);
    if (got === null) this.#say(t("picture.loading"));
    loading.then((loaded) => {
      if (turn !== this.turn) return;
      this.#say(!decision.picture ? t("picture.not-kept") : loaded[0] ? "" : t("picture.gone"));
      if (paths.length > 1 && !loaded[1]) this.overlay?.remove();
      this.element.dispatchEvent(new Event("shown"));
    });
    return true;
  }

  /** Nothing to show. */
  clear(text = "") {
    this.turn += 1;
    this.decision = null;
    replace(this.canvas);
    this.#say(text);
  }

  /** Look closer at a box `[left, top, right, bottom]`, or at all of it. */
  zoom(box = null) {
    if (!this.decision) return;
    const { width, height } = this.decision;
    let view = [0, 0, width, height];
    if (box) {
      const side = Math.min(1, Math.max(1 / 8, (2.2 * (box[2] - box[0])) / width, (2.2 * (box[3] - box[1])) / height));
      view = this.#around((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, side);
    }
    this.zoomed = Boolean(box);
    this.canvas.classList.toggle("zoomed", this.zoomed);
    this.canvas.setAttribute("viewBox", view.join(" "));
  }

  restyle() {
    this.slider.value = opacity;
    this.share.textContent = percent(opacity);
    this.overlay?.setAttribute("opacity", opacity);
    this.outlines.setAttribute("aria-pressed", String(regionsShown));
    this.canvas.classList.toggle("bare", !regionsShown);
  }

  #say(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  #draw(decision, paths) {
    const { width, height } = decision;
    this.decision = decision;
    const size = { x: 0, y: 0, width, height, preserveAspectRatio: "none" };
    const [image, overlay] = paths.map((href) => s("image", { ...size, href }));
    this.overlay = overlay ?? null;
    overlay?.setAttribute("class", "overlay");
    const regions = decision.regions.map((region, index) => {
      const [left, top, right, bottom] = region.box;
      const at = { x: left, y: top, width: right - left, height: bottom - top };
      return s("g", { class: index ? "region" : "region worst" }, s("rect", { ...at, class: "halo" }), s("rect", at));
    });
    replace(this.canvas, s("rect", { ...size, class: "sheet" }), image, overlay, regions);
    this.canvas.setAttribute("aria-label", t("picture.label", { name: decision.name }));
    this.#say(decision.picture ? "" : t("picture.not-kept"));
    this.zoom();
    this.restyle();
  }

  #around(x, y, side) {
    const { width, height } = this.decision;
    const within = (middle, span, whole) => Math.min(whole - span, Math.max(0, middle - span / 2));
    return [within(x, width * side, width), within(y, height * side, height), width * side, height * side];
  }

  #click(event) {
    if (!this.decision) return;
    if (this.zoomed) {
      this.zoom();
      return;
    }
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.canvas.getScreenCTM().inverse());
    this.canvas.setAttribute("viewBox", this.#around(at.x, at.y, 1 / ZOOM).join(" "));
    this.zoomed = true;
    this.canvas.classList.add("zoomed");
  }
}
