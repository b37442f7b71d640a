// Search over data/search.js: a dialog on every page (key /) and the search page itself.
"use strict";
(() => {
  const { root, url, beside, el, announce } = litCoiba;
  const SHOWN = 30;
  const WORDS = { class: "Class", concept: "Concept", unit: "Unit", image: "Image" };

  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

  // Entries that hold every word of a query; those that begin with it come first, then those with a word that does.
  function found(entries, query) {
    const words = plain(query).split(/\s+/).filter(Boolean);
    if (words.length === 0) return [];
    const ranked = [];
    entries.forEach(([kind, title, subtitle], index) => {
      const name = plain(title);
      const all = `${name} ${plain(subtitle || "")}`;
      if (!words.every((word) => all.includes(word))) return;
      const whole = words.join(" ");
      const rank = name === whole ? 0 : name.startsWith(whole) ? 1 : words.every((word) => ` ${name}`.includes(` ${word}`)) ? 2 : name.includes(whole) ? 3 : 4;
      ranked.push([rank * 10 + (kind === "class" ? 0 : 1), index]);
    });
    ranked.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    return ranked.map(([, index]) => entries[index]);
  }

  function row([kind, title, subtitle, address, thumb]) {
    return el("li", {},
      el("a", { href: root + address },
        thumb ? el("img", { src: url(thumb), alt: "", width: 44, height: 44, loading: "lazy" }) : el("span", { class: "no-picture", "aria-hidden": "true" }),
        el("span", { class: "hit" }, el("strong", {}, title), subtitle ? el("span", { class: "soft small" }, subtitle) : null),
        el("span", { class: "tag" }, WORDS[kind] || kind)));
  }

  // Fill a list while a field is typed in. The arrow keys walk from the field down the results and back.
  function connect(field, list, line, limit) {
    let entries = [];
    let whole = false;
    function refresh() {
      const query = field.value.trim();
      const results = found(entries, query);
      list.replaceChildren(...results.slice(0, limit).map(row));
      const more = results.length > limit ? `, the first ${limit} are shown` : "";
      if (query === "") line.textContent = whole ? `${entries.length.toLocaleString("en-US")} entries` : "Reading the index …";
      else if (results.length > 0) line.textContent = `${results.length.toLocaleString("en-US")} found${more}`;
      else line.textContent = whole ? `Nothing is called “${query}”` : "Reading the index …";
      if (query !== "" && whole) announce(line.textContent);
    }
    async function read() {
      try {
        const shards = await beside("data/search.js"); // how many there are; classes come first
        for (let shard = 0; shard < shards; shard += 1) {
          entries = entries.concat(await beside(`data/search-${String(shard).padStart(3, "0")}.js`));
          refresh();
        }
        whole = true;
        refresh();
      } catch (error) {
        line.textContent = `${error.message}: build the site again.`;
      }
    }
    field.addEventListener("input", refresh);
    const links = () => [...list.querySelectorAll("a")];
    field.addEventListener("keydown", (event) => {
      const [first] = links();
      if (event.key === "ArrowDown" && first) first.focus();
      else if (event.key === "Enter" && first) first.click();
      else return;
      event.preventDefault();
    });
    list.addEventListener("keydown", (event) => {
      const all = links();
      const index = all.indexOf(document.activeElement);
      if (event.key === "ArrowDown") all[Math.min(index + 1, all.length - 1)].focus();
      else if (event.key === "ArrowUp") (index > 0 ? all[index - 1] : field).focus();
      else return;
      event.preventDefault();
    });
    refresh();
    read();
  }

  function openFinder() {
    const dialog = document.getElementById("finder");
    if (dialog.open) return;
    const field = el("input", { type: "search", placeholder: "Class, concept or page", "aria-label": "Search", autocomplete: "off", spellcheck: "false" });
    const list = el("ul", { class: "hits" });
    const line = el("p", { class: "soft small" });
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return; // browsers empty the field first
      event.preventDefault();
      dialog.close();
    });
    dialog.replaceChildren(el("div", { class: "finder-field" }, field), line, list);
    dialog.showModal();
    field.focus();
    connect(field, list, line, SHOWN);
  }

  const page = document.getElementById("search-page");
  if (page) {
    const field = page.querySelector("input");
    field.value = new URLSearchParams(window.location.search).get("q") || "";
    field.addEventListener("input", () => {
      try {
        window.history.replaceState(null, "", `?q=${encodeURIComponent(field.value)}`);
      } catch {
        // pages from disk may not change their address in some browsers
      }
    });
    connect(field, page.querySelector(".hits"), page.querySelector("[data-line]"), 200);
    field.focus();
  }

  const open = () => (page ? page.querySelector("input").focus() : openFinder());
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-search]") || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    open();
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof Element && event.target.closest("input:not([type=range]), select, textarea");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || typing || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    open();
  });
})();
