// Histograms of the first page.
"use strict";
(() => {
  const { pageData, graphs } = litCoiba;
  pageData().histograms.forEach((histogram, index) => {
    const { edges, counts, unit, title } = histogram;
    const middles = counts.map((_, i) => (edges[i] + edges[i + 1]) / 2);
    const widths = counts.map((_, i) => edges[i + 1] - edges[i]);
    const build = (colors) => ({
      data: [{
        type: "bar", x: middles, y: counts, width: widths, marker: { color: colors.accent, line: { width: 1, color: colors.surface } },
        customdata: counts.map((_, i) => [edges[i], edges[i + 1]]), hovertemplate: "%{customdata[0]:.3~g} – %{customdata[1]:.3~g}: %{y}<extra></extra>",
      }],
      layout: { bargap: 0, xaxis: { title: { text: unit }, showgrid: false }, yaxis: { title: { text: "count" }, rangemode: "tozero" } },
    });
    graphs.draw(document.getElementById(`histogram-${index}`), title.toLowerCase().replace(/[^\w]+/g, "-"), build,
      () => [["from", "to", "count"], ...counts.map((count, i) => [edges[i], edges[i + 1], count])]);
  });
})();
