// The gallery of concepts: a card is chosen by click, Enter or #concept-3; its crops fan out around its picture.
"use strict";
litCoiba.stage = (() => {
  const { url, el, fill, link, alone, picture, fixed, signed, percent, count, arrow } = litCoiba;

  // A picture that the viewer opens.
  function view(from, caption, alternative, color, properties = {}) {
    return el("a", { class: "view", href: url(from.src), dataset: { view: caption, color }, ...properties }, picture(from, alternative, { loading: "eager" }));
  }

  function fan(place, concept, name) {
    const { crops, color } = concept;
    const spokes = crops.slice(0, 10).map((crop, i, all) => {
      const angle = (2 * Math.PI * i) / all.length - Math.PI / 2;
      return view(crop.picture, `${concept.name} of ${name}, ${crop.image}`, `Crop ${i + 1} of ${concept.name}`, color, {
        class: "view spoke", style: { "--dx": Math.cos(angle).toFixed(4), "--dy": Math.sin(angle).toFixed(4), "--delay": `${25 * i}ms` },
      });
    });
    let center = el("div", { class: "hub hub-text" }, el("strong", {}, concept.name), el("span", { class: "soft small" }, "no picture"));
    if (concept.visualization) center = view(concept.visualization, `${concept.name} of ${name}, optimized`, `Image optimized for ${concept.name}`, color, { class: "view hub checker" });
    else if (crops.length > 0) center = view(crops[0].picture, `${concept.name} of ${name}, ${crops[0].image}`, `Strongest crop of ${concept.name}`, color, { class: "view hub" });
    place.replaceChildren(center, ...spokes);
    place.classList.remove("open");
    void place.offsetWidth; // a new start of the transition
    place.classList.add("open");
  }

  function effect({ mean, low, high }) {
    return el("td", { class: "num" }, signed(mean), el("span", { class: "soft" }, low === high ? "" : ` [${fixed(low)}, ${fixed(high)}]`));
  }

  function alignment(concept, own) {
    if (concept.closest_classes.length === 0) return el("p", { class: "soft small" }, "The classifier is not linear here: closest classes are not known.");
    return el("ol", { class: "bars" }, ...concept.closest_classes.map((near) => el("li", { class: near.id === own ? "own" : null },
      near.id === own ? el("span", {}, "this class") : link(near.address, near.name),
      el("span", { class: "bar", style: { "--part": `${Math.max(0, Math.min(1, near.cosine)) * 100}%` } }),
      el("span", { class: "num" }, fixed(near.cosine)))));
  }

  function panel(place, concept, own) {
    const way = { 1: "More of it raises the logit", 0: "It hardly moves the logit", [-1]: "More of it lowers the logit" }[concept.sign];
    const row = (label, value) => el("tr", {}, el("th", { scope: "row" }, label), value);
    fill(place,
      el("h3", {}, el("span", { class: "swatch" }), concept.name),
      el("p", { class: "panel-lead" }, el("strong", {}, concept.percent === null ? "–" : `${fixed(concept.percent, 0)} %`), ` of what the concepts add. ${way}; it is the strongest concept of ${count(concept.n_top)} image${concept.n_top === 1 ? "" : "s"}.`),
      concept.flag ? el("p", { class: "note warn" }, concept.flag) : null,
      el("h4", {}, "Closest classes"),
      alignment(concept, own),
      el("h4", {}, "The logit when it is"),
      el("table", { class: "table plain" }, el("tbody", {}, row("taken out", effect(concept.deletion)), row("kept alone", effect(concept.keep_only)), row("doubled", effect(concept.raised)))),
      el("p", { class: "soft small" }, `Sobol index ${fixed(concept.importance)}${concept.standard_error === null ? "" : ` ± ${fixed(concept.standard_error)}`}`, concept.stability === null ? "" : ` · stability ${fixed(concept.stability)}`),
      alone ? null : el("p", {}, link(concept.address, `Page of ${concept.name}`)));
  }

  // A fold has its pictures when it is opened.
  function fold(place, concept, name) {
    const body = place.querySelector(".fold-body");
    if (body.childElementCount > 0) return;
    const optimized = concept.visualization
      ? el("div", { class: "fold-picture checker" }, view(concept.visualization, `${concept.name} of ${name}, optimized`, `Image optimized for ${concept.name}`, concept.color))
      : null;
    const crops = concept.crops.map((crop, i) => el("li", {}, view(crop.picture, `${concept.name} in ${crop.image}`, `Crop ${i + 1} of ${concept.name}`, concept.color)));
    const list = el("ul", { class: "crops", dataset: { views: "" } }, ...crops);
    fill(body, optimized, el("div", {}, concept.flag ? el("p", { class: "note warn" }, concept.flag) : "", list));
    body.classList.toggle("wide", optimized === null);
  }

  // Make the cards of a layer work. Returns choose(id).
  function make(section, layer, page) {
    const cards = [...section.querySelectorAll("[role=tab]")];
    const stage = section.querySelector("[data-stage]");
    const byId = new Map(layer.concepts.map((concept) => [concept.id, concept]));

    function choose(id) {
      const concept = byId.get(id);
      for (const card of cards) {
        const chosen = Number(card.dataset.concept) === id;
        card.setAttribute("aria-selected", String(chosen));
        card.tabIndex = chosen ? 0 : -1;
        if (chosen) stage.setAttribute("aria-labelledby", card.id);
      }
      stage.style.setProperty("--color", concept.color);
      fan(stage.querySelector("[data-fan]"), concept, page.name);
      panel(stage.querySelector("[data-panel]"), concept, page.id);
    }

    for (const place of section.querySelectorAll("[data-fold]")) {
      place.addEventListener("toggle", () => fold(place, byId.get(Number(place.dataset.fold)), page.name));
    }
    cards.forEach((card, i) => {
      card.addEventListener("click", () => {
        section.querySelector(".cards").classList.add("chosen");
        choose(Number(card.dataset.concept));
      });
      card.addEventListener("keydown", (event) => {
        const next = arrow(event.key, cards, i);
        if (next === null) return;
        event.preventDefault();
        cards[next].focus();
      });
    });
    choose(layer.order[0]);
    return choose;
  }

  return { make };
})();
