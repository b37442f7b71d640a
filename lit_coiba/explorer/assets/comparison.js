// Two models, a dot for each class.
"use strict";
(async () => {
  const { root, pageData, beside, el, count, percent, graphs } = litCoiba;
  const page = pageData();
  const figure = document.getElementById("accuracies");
  const all = page.beside.classes ? await beside(page.beside.classes) : page.classes;
  const both = all.filter((row) => row.accuracy[0] !== null && row.accuracy[1] !== null);
  if (both.length === 0) {
    figure.querySelector("[data-graph]").replaceWith(el("p", { class: "soft" }, "No class has labelled images for both models."));
    return;
  }
  const [first, second] = page.sides.map((side) => side.name);
  const lowest = Math.max(0, Math.min(...both.flatMap((row) => row.accuracy)) - 0.05);
  const build = (colors) => ({
    data: [
      { type: "scatter", mode: "lines", x: [lowest, 1], y: [lowest, 1], line: { color: colors.soft, width: 1, dash: "dot" }, hoverinfo: "skip" },
      {
        type: "scatter", mode: "markers", x: both.map((row) => row.accuracy[0]), y: both.map((row) => row.accuracy[1]),
        marker: { size: 10, color: colors.accent, opacity: 0.75, line: { width: 1, color: colors.surface } },
        text: both.map((row) => `${graphs.plain(row.cls.name)}: ${percent(row.accuracy[0], 1)} and ${percent(row.accuracy[1], 1)} of ${count(row.n_labelled[0])} images`), hovertemplate: "%{text}<extra></extra>",
      },
    ],
    layout: {
      hovermode: "closest", xaxis: { title: { text: graphs.plain(first) }, tickformat: ".0%", range: [lowest, 1.02], zeroline: false },
      yaxis: { title: { text: graphs.plain(second) }, tickformat: ".0%", range: [lowest, 1.02], zeroline: false },
    },
  });
  graphs.draw(figure, "accuracies", build, () => [["class", "name", first, second], ...both.map((row) => [row.cls.id, row.cls.name, ...row.accuracy])],
    (graph) => graph.on("plotly_click", (event) => {
      const { curveNumber, pointIndex } = event.points[0];
      const { address } = curveNumber === 1 ? both[pointIndex].cls : {};
      if (address) window.location.href = root + address;
    }));
})();
