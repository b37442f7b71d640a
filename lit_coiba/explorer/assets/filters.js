// Lists that are filtered where they stand: by a text, or by a state.
"use strict";
(() => {
  const none = document.querySelector("[data-none]");

  function keep(items, wanted) {
    let left = 0;
    for (const item of items) {
      item.hidden = !wanted(item);
      left += item.hidden ? 0 : 1;
    }
    none.hidden = left > 0;
  }

  const field = document.querySelector("[data-filter-list]");
  if (field) field.addEventListener("input", async () => {
    await litCoiba.allGalleries();
    const query = field.value.trim().toLowerCase();
    keep(document.querySelectorAll("[data-list] > li"), (item) => item.dataset.text.toLowerCase().includes(query));
  });

  const buttons = [...document.querySelectorAll("[data-only]")];
  buttons.forEach((button) => button.addEventListener("click", () => {
    buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    keep(document.querySelectorAll("[data-state]"), (item) => button.dataset.only === "" || item.dataset.state === button.dataset.only);
  }));
})();
