// The classes on the first page: tiles or a table, filtered and sorted, a part at a time.
"use strict";
(async () => {
  const { root, url, pageData, beside, el, count, percent, tables } = litCoiba;
  const PART = 60;
  const section = document.getElementById("classes");
  const place = section.querySelector("[data-classes]");
  const more = section.querySelector("[data-more]");
  const line = section.querySelector("[data-shown]");
  const filter = section.querySelector("[data-filter]");
  const choice = section.querySelector("[data-sort]");
  const DOWN = new Set(["n_images", "important", "error"]); // sorted from the largest by the menu
  const COLUMNS = [["id", "Number"], ["name", "Name"], ["n_images", "Images"], ["accuracy", "Accuracy"], ["important", "Important concepts"], ["error", "Reconstruction error"]];

  let columns;
  try {
    columns = await beside(pageData().beside.classes);
  } catch (error) {
    place.dataset.filled = "";
    place.replaceChildren(el("p", { class: "note" }, `${error.message}: build the site again.`));
    return;
  }
  const address = (i) => `${root}classes/${String(columns.id[i]).padStart(5, "0")}.html`;
  const lower = columns.name.map((name) => name.toLowerCase());
  let sorting = { key: "id", descending: false };
  let view = "tiles";
  let chosen = [];
  let shown = 0;

  function choose() {
    const query = filter.value.trim().toLowerCase();
    chosen = [...columns.id.keys()].filter((i) => query === "" || lower[i].includes(query) || String(columns.id[i]) === query);
    const { key, descending } = sorting;
    chosen.sort((a, b) => tables.compare(columns[key][a], columns[key][b], descending) || columns.id[a] - columns.id[b]);
  }

  function tile(i) {
    const source = columns.picture[i];
    const bars = columns.bars ? columns.bars[i] : [];
    return el("li", {}, el("a", { class: "tile", href: address(i) },
      source ? el("span", { class: "checker" }, el("img", { src: url(source), alt: "", width: 160, height: 160, loading: "lazy", decoding: "async" })) : el("span", { class: "no-picture soft small" }, "no picture"),
      el("span", { class: "tile-text" },
        el("strong", { class: "ellipsis", title: columns.name[i] }, columns.name[i]),
        el("span", { class: "soft small" }, `${count(columns.n_images[i])} ${columns.n_images[i] === 1 ? "image" : "images"}${columns.accuracy[i] === null ? "" : ` · ${percent(columns.accuracy[i])}`}`),
        bars.length === 0 ? null : el("span", { class: "stack", "aria-hidden": "true" }, ...bars.map(([part, color]) => el("span", { style: { "flex-grow": part, "--color": color } }))))));
  }

  function row(i) {
    return el("tr", {},
      el("td", { class: "soft" }, String(columns.id[i])), el("th", { scope: "row" }, el("a", { href: address(i) }, columns.name[i])),
      el("td", { class: "num" }, count(columns.n_images[i])), el("td", { class: "num" }, percent(columns.accuracy[i])),
      el("td", { class: "num" }, `${columns.important[i]} of ${columns.concepts[i]}`), el("td", { class: "num" }, percent(columns.error[i])));
  }

  function table() {
    const head = el("tr", {}, ...COLUMNS.map(([key, title]) => {
      const kind = key === "name" ? "text" : "number";
      const sorted = sorting.key === key ? (sorting.descending ? "descending" : "ascending") : null;
      return el("th", { scope: "col", class: kind === "number" && key !== "id" ? "num" : null, "aria-sort": sorted, dataset: { kind, first: key === "id" || key === "accuracy" ? "ascending" : "" } }, title);
    }));
    const made = el("table", { class: "table" }, el("thead", {}, head), el("tbody", {}));
    tables.heads(made, (column, descending) => {
      sorting = { key: COLUMNS[column][0], descending };
      if ([...choice.options].some((option) => option.value === sorting.key)) choice.value = sorting.key;
      choose();
      made.tBodies[0].replaceChildren();
      shown = 0;
      grow();
    });
    return made;
  }

  function grow() {
    const next = chosen.slice(shown, shown + PART);
    const list = view === "tiles" ? place.querySelector("ul") : place.querySelector("tbody");
    list.append(...next.map(view === "tiles" ? tile : row));
    shown += next.length;
    more.hidden = shown >= chosen.length;
    line.textContent = chosen.length === 0 ? "no class is called so" : `${count(shown)} of ${count(chosen.length)}`;
  }

  function show() {
    choose();
    shown = 0;
    if (view === "tiles") place.replaceChildren(el("ul", { class: "tiles", dataset: { arrows: "" } }));
    else place.replaceChildren(el("div", { class: "scroll figure", tabindex: "0", role: "region", "aria-label": "Classes" }, table()));
    grow();
    place.dataset.filled = "";
  }

  filter.addEventListener("input", show);
  choice.addEventListener("change", () => {
    sorting = { key: choice.value, descending: DOWN.has(choice.value) };
    show();
  });
  more.addEventListener("click", grow);
  section.querySelectorAll("[data-show]").forEach((button) => button.addEventListener("click", () => {
    view = button.dataset.show;
    section.querySelectorAll("[data-show]").forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    show();
  }));
  new IntersectionObserver((entries) => {
    if (entries[0].isIntersecting && !more.hidden) grow();
  }, { rootMargin: "400px" }).observe(more.parentElement);
  show();
})();
