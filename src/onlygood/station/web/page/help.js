// The keys, over any view.

import { h } from "./dom.js";
import { t } from "./i18n.js";

/** A dialog that lists every key; the views are those that this user may see. */
export function help(views) {
  const group = (title, rows) => h("section", {}, h("h3", {}, title), h("dl", {}, rows.map(([keys, text]) => h("div", {}, h("dt", {}, keys.map((key) => h("kbd", {}, key))), h("dd", {}, text)))));
  const dialog = h(
    "dialog",
    { class: "help", "aria-labelledby": "help-title" },
    h("header", {}, h("h2", { id: "help-title" }, t("help.title")), h("button", { type: "button", class: "close", onclick: () => dialog.close() }, t("close"))),
    h(
      "div",
      { class: "help-grid" },
      group(t("help.everywhere"), [[["1", "…", String(views.length)], views.join(", ")], [["+", "−"], t("help.opacity")], [["B"], t("help.regions")], [["Esc"], t("help.close")], [["?"], t("help.this")]]),
      group(t("nav.live"), [[["H"], t("help.hold")]]),
      group(t("nav.review"), [[["O"], t("help.ok")], [["N"], t("help.ng")], [["U"], t("help.undo")], [["←", "→"], t("help.move")], [["C"], t("help.comment")]]),
      group(t("nav.history"), [[["/"], t("help.search")], [["←", "→"], t("help.part")]]),
      group(t("nav.model"), [[["Tab"], t("help.line")], [["←", "→"], t("help.shift")]]),
    ),
    h("p", { class: "soft" }, t("help.touch")),
  );
  return dialog;
}
