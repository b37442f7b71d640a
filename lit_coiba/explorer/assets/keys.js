// Keys that work on every page, the random class, and the dialog that lists the keys.
"use strict";
(() => {
  const { root, beside, arrow } = litCoiba;

  async function randomClass() {
    const { id } = await beside("data/classes.js");
    if (id.length === 0) return;
    const chosen = id[Math.floor(Math.random() * id.length)];
    window.location.href = `${root}classes/${String(chosen).padStart(5, "0")}.html`;
  }

  // On a phone the navigation is wider than the window: begin where this page stands in it.
  const here = document.querySelector(".nav [aria-current]");
  if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft - 60;

  function typing(target) {
    return target instanceof Element && target.closest("input:not([type=range]):not([type=checkbox]), select, textarea, [contenteditable]") !== null;
  }

  function help() {
    const dialog = document.getElementById("help");
    if (!dialog.open) dialog.showModal();
  }

  // Arrow keys among the tiles of a list; elsewhere left and right are the page before and after this one.
  function walk(event) {
    const list = event.target.closest("[data-arrows]");
    if (list) {
      const links = [...list.querySelectorAll("li:not([hidden]) > a")];
      const next = arrow(event.key, links, links.indexOf(event.target));
      if (next !== null) links[next].focus();
      return next !== null;
    }
    if (event.target !== document.body && event.target.id !== "main") return false;
    const link = { ArrowLeft: document.querySelector("[data-previous]"), ArrowRight: document.querySelector("[data-next]") }[event.key];
    if (link) link.click();
    return Boolean(link);
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "r" && document.querySelector("[data-random]")) randomClass();
    else if (event.key === "?") help();
    else if (!walk(event)) return;
    event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    const target = event.target;
    if (target.closest("[data-random]")) {
      event.preventDefault();
      randomClass();
    } else if (target.closest("[data-help]")) help();
    else if (target.closest("[data-close]")) target.closest("dialog").close();
    else if (target instanceof HTMLDialogElement && target.open) target.close(); // the backdrop
  });
})();
