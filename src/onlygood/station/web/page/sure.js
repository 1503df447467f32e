// A question before something that the whole line feels.

import { h } from "./dom.js";
import { t } from "./i18n.js";

/** Asks; true if it shall be done. */
export function sure(parent, question, act) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { class: "sure", role: "alertdialog", "aria-labelledby": "sure-question", onclose: () => { dialog.remove(); resolve(dialog.returnValue === "yes"); } },
      h("p", { id: "sure-question" }, question),
      h("div", { class: "row" }, h("button", { type: "button", onclick: () => dialog.close("no") }, t("cancel")), h("button", { type: "button", class: "primary", onclick: () => dialog.close("yes") }, act)),
    );
    parent.append(dialog);
    dialog.showModal();
  });
}
