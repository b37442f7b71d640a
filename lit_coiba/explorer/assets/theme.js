// Light or dark, before the first paint: what was chosen here last, else what the system prefers.
"use strict";
(() => {
  const KEY = "lit-coiba-theme";
  const root = document.documentElement;
  const preferred = window.matchMedia("(prefers-color-scheme: dark)");

  function stored() {
    try {
      return window.localStorage.getItem(KEY);
    } catch {
      return null; // a browser may refuse storage to pages opened from disk
    }
  }

  function show() {
    const kept = stored();
    root.dataset.theme = kept === "dark" || kept === "light" ? kept : preferred.matches ? "dark" : "light";
  }

  function toggle() {
    const next = root.dataset.theme === "dark" ? "light" : "dark";
    try {
      window.localStorage.setItem(KEY, next);
    } catch {
      // it then holds for this page only
    }
    root.dataset.theme = next;
    document.dispatchEvent(new CustomEvent("theme"));
  }

  show();
  preferred.addEventListener("change", () => {
    show();
    document.dispatchEvent(new CustomEvent("theme"));
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-toggle-theme]")) toggle();
  });
})();
