// A question before something that the whole line feels.

import { h } from "./dom.js";
import { t } from "./i18n.js";

/** Asks; true if it shall be done. With a `why`, the label of a field that must be filled, gives what stands in it. */
export function sure(parent, question, act, why = "") {
  return new Promise((resolve) => {
    const yes = h("button", { type: "submit", class: "primary", disabled: Boolean(why) }, act);
    const reason = h("input", { type: "text", maxlength: 500, autocomplete: "off", oninput: () => (yes.disabled = !reason.value.trim()) });
    const answer = () => (dialog.returnValue === "yes" ? reason.value.trim() || true : false);
    const form = h(
      "form",
      { onsubmit: (event) => { event.preventDefault(); dialog.close("yes"); } },
      h("p", { id: "sure-question" }, question),
      why ? h("label", { class: "field" }, why, reason) : null,
      h("div", { class: "row" }, h("button", { type: "button", onclick: () => dialog.close("no") }, t("cancel")), yes),
    );
    const dialog = h("dialog", { class: "sure", role: "alertdialog", "aria-labelledby": "sure-question", onclose: () => { dialog.remove(); resolve(answer()); } }, form);
    parent.append(dialog);
    dialog.showModal();
  });
}
