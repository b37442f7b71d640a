// The page of a concept: its crops, or where they lie in their images.
"use strict";
(() => {
  const buttons = [...document.querySelectorAll("[data-places]")];
  buttons.forEach((button) => button.addEventListener("click", () => {
    const maps = button.dataset.places === "maps";
    buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    document.querySelectorAll("[data-crops] > li").forEach((item) => {
      const map = item.querySelector("[data-map]");
      if (!map) return;
      map.hidden = !maps;
      item.querySelector("[data-crop]").hidden = maps;
    });
  }));
})();
