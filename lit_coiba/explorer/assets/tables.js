// Tables that sort by a click on a column and can be saved as CSV.
"use strict";
litCoiba.tables = (() => {
  const { el, download, csv } = litCoiba;
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  // Compare values of a column; what is not known comes last either way.
  function compare(a, b, descending) {
    const missing = (value) => value === null || value === undefined || value === "";
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    const order = typeof a === "number" && typeof b === "number" ? a - b : collator.compare(a, b);
    return descending ? -order : order;
  }

  // Put sort buttons into the heads of a table; `sort(column, descending)` does the work.
  function heads(table, sort) {
    const cells = [...table.tHead.rows[0].cells];
    cells.forEach((cell, column) => {
      const button = el("button", { type: "button", class: "sort" }, ...cell.childNodes);
      cell.replaceChildren(button);
      button.addEventListener("click", () => {
        const was = cell.getAttribute("aria-sort");
        const first = cell.dataset.kind === "number" && cell.dataset.first !== "ascending" ? "descending" : "ascending";
        const next = was === null ? first : was === "ascending" ? "descending" : "ascending";
        cells.forEach((other) => other.removeAttribute("aria-sort"));
        cell.setAttribute("aria-sort", next);
        sort(column, next === "descending");
      });
    });
  }

  const texts = (row) => [...row.cells].map((cell) => (cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value)));

  for (const figure of document.querySelectorAll("[data-table]")) {
    const table = figure.querySelector("table");
    const body = table.tBodies[0];
    const kinds = [...table.tHead.rows[0].cells].map((cell) => cell.dataset.kind);
    const value = (row, column) => {
      const cell = row.cells[column];
      if (kinds[column] === "number") return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
      return cell.textContent.trim();
    };
    heads(table, (column, descending) => body.append(...[...body.rows].sort((a, b) => compare(value(a, column), value(b, column), descending))));
    const tools = figure.querySelector("[data-tools]");
    const rows = () => [[...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim()), ...[...body.rows].map(texts)];
    tools.append(el("button", {
      type: "button", class: "button small-button", "aria-label": `${figure.dataset.table} as CSV`,
      on: { click: () => download(`${figure.dataset.table.replace(/[^\w-]+/g, "-")}.csv`, csv(rows()), "text/csv") },
    }, "CSV"));
  }

  return { compare, heads };
})();
