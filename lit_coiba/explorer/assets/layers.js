// Put a class page together: each layer's gallery and graphs, the switch of layers, and addresses such as #concept-3.
"use strict";
(() => {
  const { pageData, beside, stage, strategies, indicators } = litCoiba;
  const page = pageData();
  const choosers = [];

  async function points(layer, index) {
    if (layer.points) return layer.points;
    const address = page.beside[index === 0 ? "points" : `points-${index}`];
    return address ? beside(address) : null;
  }

  page.layers.forEach((layer, index) => {
    const section = document.querySelector(`[data-layer="${index}"]`);
    const end = index ? `-${index}` : "";
    const name = `class-${page.id}${end}`;
    if (layer.concepts.length === 0) return;
    const byId = new Map(layer.concepts.map((concept) => [concept.id, concept]));
    const ordered = layer.order.map((id) => byId.get(id));
    choosers[index] = stage.make(section, layer, page);
    const figure = section.querySelector("[data-strategies]");
    if (figure) litCoiba.whenSeen(figure, async () => {
      const found = await points(layer, index);
      if (found) strategies.make(figure, found, layer, `${name}-strategies`);
    });
    indicators.shares(document.getElementById(`shares${end}`), layer, ordered, `${name}-shares`);
    indicators.effects(document.getElementById(`effects${end}`), ordered, `${name}-effects`);
    indicators.proximity(document.getElementById(`near${end}`), ordered, `${name}-proximity`, (id) => {
      window.location.hash = `concept-${id}${end}`;
    });
  });

  function showLayer(index) {
    document.querySelectorAll("[data-layer]").forEach((section) => (section.hidden = Number(section.dataset.layer) !== index));
    document.querySelectorAll("[data-show-layer]").forEach((button) => button.setAttribute("aria-pressed", String(Number(button.dataset.showLayer) === index)));
  }

  // #concept-3 chooses a card, and #concept-3-1 one of the second layer; other addresses are places on the page.
  function follow() {
    const [, id, layer = "0"] = window.location.hash.match(/^#concept-(\d+)(?:-(\d+))?$/) || [];
    if (id === undefined) return;
    const card = document.getElementById(window.location.hash.slice(1));
    if (!card || !choosers[Number(layer)]) return;
    if (page.layers.length > 1) showLayer(Number(layer));
    card.closest(".cards").classList.add("chosen");
    choosers[Number(layer)](Number(id));
    card.focus({ preventScroll: true });
    card.closest("section").scrollIntoView();
  }

  if (page.layers.length > 1) showLayer(0);
  document.querySelectorAll("[data-show-layer]").forEach((button) => button.addEventListener("click", () => showLayer(Number(button.dataset.showLayer))));
  window.addEventListener("hashchange", follow);
  follow();
})();
