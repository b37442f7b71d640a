// All classes that have samples, where the page has only the first of them.
"use strict";
(() => {
  const { root, url, pageData, beside, el, count } = litCoiba;
  const page = pageData();
  const button = document.querySelector("[data-all]");
  let whole = null;

  async function read() {
    const entries = await beside(page.beside.classes);
    document.querySelector("[data-list]").replaceChildren(...entries.map(([name, address, samples, source]) => el("li", { dataset: { text: name } },
      el("a", { class: "tile", href: root + address },
        source ? el("img", { src: url(source), alt: "", width: 160, height: 160, loading: "lazy" }) : el("span", { class: "no-picture" }),
        el("span", { class: "tile-text" }, el("strong", { class: "ellipsis" }, name), el("span", { class: "soft small" }, `${count(samples)} image${samples === 1 ? "" : "s"}`))))));
    button.parentElement.hidden = true;
  }

  litCoiba.allGalleries = () => {
    if (button) whole ??= read();
    return whole;
  };
  if (button) button.addEventListener("click", litCoiba.allGalleries);
})();
