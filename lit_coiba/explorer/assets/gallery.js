// Explained images of a class: one large, with each method's map over it, and all of them in a strip.
"use strict";
(() => {
  const { root, url, link, file, pageData, beside, el, picture, fixed, percent, announce, arrow, download, csv, values } = litCoiba;
  const page = pageData();
  const find = (name) => document.querySelector(`[data-${name}]`);
  const opacity = find("opacity");
  const strip = find("strip");
  let method = 0;
  let list = []; // indices of the samples that the filter leaves
  let current = 0; // index of the chosen sample
  let grid = null; // values of the map that is shown

  const state = (sample) => (sample.correct === null ? "unknown" : sample.correct ? "right" : "wrong");
  const mapOf = (sample) => sample.maps.findIndex((map) => map.method === method);

  function layers(sample, alternative, loading, map = sample.maps[mapOf(sample)]) {
    return el("span", { class: "layers" },
      sample.picture ? picture(sample.picture, alternative, { loading }) : el("span", { class: "no-picture" }),
      map ? picture(map.overlay, sample.picture ? "" : alternative, { loading, class: "overlay" }) : null);
  }

  function facts(sample, map) {
    const rows = [];
    const fact = (label, ...value) => rows.push(el("div", {}, el("dt", {}, label), el("dd", {}, ...value)));
    const named = (cls) => (cls ? link(cls.address, cls.name) : "–");
    const mark = { right: el("span", { class: "tag good" }, "right"), wrong: el("span", { class: "tag bad" }, "wrong"), unknown: null }[state(sample)];
    fact("Prediction", named(sample.predicted), " ", mark || "");
    fact("Probability", percent(sample.probability, 1));
    fact("Logit", fixed(sample.logit));
    if (sample.promise) fact("Certified", sample.promise);
    fact("Label", named(sample.label));
    if (map) {
      fact("Explained class", named(map.target), el("span", { class: "soft" }, ` ${percent(map.probability, 1)}`));
      fact("Range of the map", `${fixed(map.low)} – ${fixed(map.high)} ${map.unit}`.trim());
      for (const [name, score] of Object.entries(map.scores)) fact(name, fixed(score, 3));
    }
    return el("dl", { class: "facts" }, ...rows);
  }

  function downloads(sample, map) {
    const saved = (from, text) => (from ? file(url(from.src), text, "button small-button") : null);
    const save = async () => {
      const found = await values.read(current, mapOf(sample), map);
      if (found) download(`${sample.id.replace(/[^\w-]+/g, "-")}-${page.methods[method]}.csv`, csv(values.table(found)), "text/csv");
    };
    return [
      saved(sample.picture, "Picture"), map ? saved(map.overlay, "Map") : null,
      map && page.beside.values ? el("button", { type: "button", class: "button small-button", on: { click: save } }, "Values (CSV)") : null,
    ].filter(Boolean);
  }

  // The same image by another method.
  function methodButton(map) {
    const name = page.methods[map.method];
    return el("li", {}, el("button", { type: "button", "aria-pressed": String(map.method === method), on: { click: () => setMethod(map.method) } },
      layers(page.samples[current], "", "eager", map), el("span", { class: "ellipsis", title: name }, name)));
  }

  async function show() {
    const sample = page.samples[current];
    const index = mapOf(sample);
    const map = sample.maps[index];
    find("title").textContent = sample.id;
    find("position").textContent = `${list.indexOf(current) + 1} of ${list.length}`;
    find("layers").replaceChildren(layers(sample, sample.id, "eager"));
    find("facts").replaceChildren(facts(sample, map));
    find("downloads").replaceChildren(...downloads(sample, map));
    find("all").replaceChildren(...(page.methods.length > 1 ? sample.maps.map(methodButton) : []));
    const missing = page.methods.length ? `${page.methods[method]} has no map of this image.` : "";
    find("value").textContent = map ? "Point at the picture to read values of the map." : missing;
    for (const button of strip.querySelectorAll("button")) {
      const chosen = Number(button.dataset.index) === current;
      button.setAttribute("aria-pressed", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
    grid = null;
    if (map) {
      const [wanted, asked] = [current, method];
      try {
        const found = await values.read(wanted, index, map);
        if (wanted === current && asked === method) grid = found;
      } catch {
        grid = null; // the pictures are enough
      }
    }
  }

  function fill() {
    const wanted = find("correct").value;
    list = [...page.samples.keys()].filter((i) => wanted === "" || state(page.samples[i]) === wanted);
    strip.replaceChildren(...list.map((i) => {
      const sample = page.samples[i];
      return el("li", { id: sample.anchor }, el("button", {
        type: "button", class: `shot ${state(sample)}`, dataset: { index: i }, "aria-pressed": "false", style: sample.color ? { "--color": sample.color } : {},
        "aria-label": `${sample.id}, ${state(sample) === "unknown" ? "no label" : state(sample)}`, on: { click: () => choose(i) },
      }, layers(sample, "", "lazy")));
    }));
    find("none").hidden = list.length > 0;
    find("show-sample").hidden = list.length === 0;
    if (list.length > 0) {
      if (!list.includes(current)) [current] = list;
      show();
    }
  }

  function choose(i) {
    current = i;
    show();
    try {
      window.history.replaceState(null, "", `#${page.samples[i].anchor}`);
    } catch {
      // pages from disk may not change their address in some browsers
    }
  }

  function step(by) {
    if (list.length === 0) return;
    choose(list[(list.indexOf(current) + by + list.length) % list.length]);
    announce(page.samples[current].id);
  }

  function setMethod(index) {
    method = index;
    document.querySelector(`[data-methods] input[value="${index}"]`).checked = true;
    fill();
  }

  function setOpacity() {
    document.documentElement.style.setProperty("--overlay", Number(opacity.value) / 100);
  }

  function follow() {
    const index = page.samples.findIndex((sample) => `#${sample.anchor}` === window.location.hash);
    if (index < 0) return;
    if (!list.includes(index)) {
      find("correct").value = "";
      current = index;
      fill();
    } else {
      current = index;
      show();
    }
    find("show-sample").scrollIntoView();
  }

  find("layers").addEventListener("pointermove", (event) => {
    const box = find("layers").getBoundingClientRect();
    const map = page.samples[current].maps[mapOf(page.samples[current])];
    if (!grid || !map) return;
    const at = (place, start, length, cells) => Math.min(cells - 1, Math.max(0, Math.floor(((place - start) / length) * cells)));
    const [row, column] = [at(event.clientY, box.top, box.height, grid.rows), at(event.clientX, box.left, box.width, grid.columns)];
    find("value").textContent = `Row ${row + 1}, column ${column + 1}: ${fixed(grid.value(row, column), 3)} ${map.unit}`.trim();
  });
  find("methods").addEventListener("change", (event) => setMethod(Number(event.target.value)));
  opacity.addEventListener("input", setOpacity);
  find("correct").addEventListener("change", fill);
  document.querySelectorAll("[data-step]").forEach((button) => button.addEventListener("click", () => step(Number(button.dataset.step))));
  strip.addEventListener("keydown", (event) => {
    const buttons = [...strip.querySelectorAll("button")];
    const next = arrow(event.key, buttons, buttons.indexOf(document.activeElement));
    if (next === null) return;
    event.preventDefault();
    event.stopPropagation();
    buttons[next].focus();
    choose(Number(buttons[next].dataset.index));
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const field = event.target.closest("input, select");
    if (field && (field.type !== "radio" || event.key.startsWith("Arrow"))) return;
    const digit = Number(event.key);
    if (event.key === "ArrowRight") step(1);
    else if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "o") {
      opacity.value = Number(opacity.value) > 0 ? 0 : 70;
      setOpacity();
    } else if (digit >= 1 && digit <= Math.min(9, page.methods.length)) setMethod(digit - 1);
    else return;
    event.preventDefault();
  });
  window.addEventListener("hashchange", follow);

  const classes = find("class");
  classes.addEventListener("focus", async () => {
    if (classes.options.length > 1) return;
    const entries = await beside("data/galleries.js");
    classes.replaceChildren(...entries.map(([name, address]) => el("option", { value: address, selected: address.split("-")[0] === page.address.split("-")[0] }, name)));
  });
  classes.addEventListener("change", () => {
    if (classes.value) window.location.href = root + classes.value;
  });

  setOpacity();
  fill();
  follow();
})();
