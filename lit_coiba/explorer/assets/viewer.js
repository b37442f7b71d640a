// A picture at full size: any [data-view] link opens it in a dialog; arrow keys walk among those of its [data-views].
"use strict";
litCoiba.viewer = (() => {
  const { url, el, file } = litCoiba;
  const dialog = document.getElementById("viewer");
  let shown = [];
  let at = 0;

  function show(index) {
    at = (index + shown.length) % shown.length;
    const link = shown[at];
    const small = link.querySelector("img");
    const caption = link.dataset.view;
    const picture = el("img", { src: link.href, alt: small ? small.alt : caption });
    const frame = el("div", { class: "viewer-frame checker" }, picture);
    if (link.dataset.color) frame.style.setProperty("--color", link.dataset.color);
    const button = (text, label, step) => el("button", { type: "button", class: "button", "aria-label": label, on: { click: () => show(at + step) } }, text);
    const focused = document.activeElement && dialog.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
    dialog.replaceChildren(
      frame,
      el("p", { class: "viewer-caption" }, caption),
      el("div", { class: "viewer-tools" },
        shown.length > 1 ? button("‹", "Previous picture", -1) : null,
        shown.length > 1 ? el("span", { class: "soft small" }, `${at + 1} of ${shown.length}`) : null,
        shown.length > 1 ? button("›", "Next picture", 1) : null,
        file(link.href, "Download"),
        el("button", { type: "button", class: "button", "aria-label": "Close", on: { click: () => dialog.close() } }, "Close")));
    const again = focused ? dialog.querySelector(`[aria-label="${focused}"]`) : null;
    (again || dialog.querySelector("button")).focus();
  }

  // Open one picture of the site.
  function open(picture, caption, color) {
    shown = [el("a", { href: url(picture.src), dataset: { view: caption, color } })];
    dialog.showModal();
    show(0);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-view]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const group = link.closest("[data-views]");
    shown = group ? [...group.querySelectorAll("a[data-view]")] : [link];
    dialog.showModal();
    show(shown.indexOf(link));
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") show(at + 1);
    else if (event.key === "ArrowLeft") show(at - 1);
    else return;
    event.preventDefault();
  });
  return { open };
})();
