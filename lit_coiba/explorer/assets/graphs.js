// Graphs by plotly.js, which is loaded when the first of them comes into view. Colors follow light and dark.
"use strict";
litCoiba.graphs = (() => {
  const { el, script, whenSeen, download, csv } = litCoiba;
  const drawn = []; // {place, build} of the graphs on this page

  // The colors of the page, resolved for the theme that is shown.
  function theme() {
    const probe = el("span", { hidden: true });
    document.body.append(probe);
    const resolved = (name) => {
      probe.style.color = `var(--${name})`;
      return getComputedStyle(probe).color;
    };
    const names = ["ink", "soft", "line", "surface", "accent", "good", "bad"];
    const colors = Object.fromEntries(names.map((name) => [name, resolved(name)]));
    const font = getComputedStyle(document.body).fontFamily;
    probe.remove();
    return { ...colors, font };
  }

  const axis = (colors) => ({
    gridcolor: colors.line, zerolinecolor: colors.soft, linecolor: colors.line, tickcolor: colors.line, automargin: true, fixedrange: true, ticks: "",
    title: { font: { size: 12, color: colors.soft }, standoff: 8 },
  });

  // A layout with the colors and letters of the page; `own` overrides it, axes are merged.
  function layout(colors, own) {
    const { xaxis = {}, yaxis = {}, ...rest } = own;
    return {
      font: { family: colors.font, size: 13, color: colors.ink }, paper_bgcolor: colors.surface, plot_bgcolor: colors.surface,
      margin: { l: 12, r: 16, t: 8, b: 36 }, hoverlabel: { bgcolor: colors.surface, bordercolor: colors.soft, font: { color: colors.ink, family: colors.font } },
      dragmode: false, bargap: 0.35, showlegend: false,
      xaxis: { ...axis(colors), ...xaxis, title: { ...axis(colors).title, ...xaxis.title } },
      yaxis: { ...axis(colors), ...yaxis, title: { ...axis(colors).title, ...yaxis.title } },
      ...rest,
    };
  }

  // Plotly reads a few tags in texts; names are shown as they are.
  const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  function button(text, label, act) {
    return el("button", { type: "button", class: "button small-button", "aria-label": label, on: { click: act } }, text);
  }

  // Draw a figure once it is seen. `build(colors)` gives {data, layout}; `rows` is what its CSV has, the first row names.
  function draw(figure, name, build, rows, then = () => {}) {
    const place = figure.querySelector("[data-graph]");
    const height = Number(figure.dataset.height) || 360;
    place.style.height = `${height}px`;
    whenSeen(figure, async () => {
      try {
        if (!window.Plotly) await script("assets/plotly.min.js");
      } catch {
        place.textContent = "The file assets/plotly.min.js is not there: build the site again.";
        return;
      }
      const show = () => {
        const { data, layout: own } = build(theme());
        return window.Plotly.react(place, data, layout(theme(), own), { displayModeBar: false, responsive: true, doubleClick: "reset" });
      };
      await show();
      drawn.push(show);
      const title = figure.querySelector("h3").textContent;
      const save = (format) => window.Plotly.downloadImage(place, { format, filename: name, width: place.clientWidth, height, scale: format === "png" ? 3 : 1 });
      figure.querySelector("[data-tools]").replaceChildren(
        button("PNG", `${title} as PNG`, () => save("png")),
        button("SVG", `${title} as SVG`, () => save("svg")),
        button("CSV", `${title} as CSV`, () => download(`${name}.csv`, csv(rows()), "text/csv")));
      figure.dataset.drawn = "";
      then(place, show);
    });
  }

  document.addEventListener("theme", () => drawn.forEach((show) => show()));
  return { draw, plain };
})();
