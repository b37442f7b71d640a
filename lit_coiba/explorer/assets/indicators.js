// Graphs of what the concepts of a layer add to the logit, of their causal effects, and of how near they are.
"use strict";
litCoiba.indicators = (() => {
  const { el, signed, graphs } = litCoiba;
  const { plain } = graphs;
  const short = (text, length = 18) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

  // Bars that add up to the mean logit: concepts, residual, bias.
  function shares(figure, layer, ordered, name) {
    const part = layer.logit > 0;
    const scale = part ? 100 / layer.logit : 1;
    const rest = [["Residual", layer.residual], ["Bias", layer.bias]].filter(([, value]) => value !== null);
    const rows = [
      ...ordered.map((concept) => [concept.name, concept.contribution.mean, concept.contribution.low, concept.contribution.high, concept.color]),
      ...rest.map(([label, value]) => [label, value, null, null, null]),
    ];
    const keys = rows.map((_, i) => String(i));
    const build = (colors) => ({
      data: [{
        type: "bar", orientation: "h", y: keys, x: rows.map((row) => row[1] * scale), marker: { color: rows.map((row) => row[4] || colors.soft), cornerradius: 3 },
        error_x: {
          type: "data", symmetric: false, color: colors.ink, thickness: 1.2, width: 3,
          array: rows.map(([, mean, , high]) => (high === null ? 0 : (high - mean) * scale)), arrayminus: rows.map(([, mean, low]) => (low === null ? 0 : (mean - low) * scale)),
        },
        text: rows.map((row) => `${plain(row[0])}: ${signed(row[1])}${part ? `, ${signed(row[1] * scale, 1)} % of the logit` : ""}`), textposition: "none", hovertemplate: "%{text}<extra></extra>",
      }],
      layout: {
        xaxis: { title: { text: part ? "% of the mean logit" : "logit" }, zeroline: true },
        yaxis: { autorange: "reversed", type: "category", tickvals: keys, ticktext: rows.map((row) => plain(short(row[0]))), showgrid: false },
      },
    });
    graphs.draw(figure, name, build, () => [["part", "logit", "low", "high"], ...rows.map((row) => row.slice(0, 4))]);
  }

  const interval = ({ low, high }) => (low === high ? "" : ` [${signed(low)}, ${signed(high)}]`); // of a single image there is none

  function effects(figure, ordered, name) {
    const kinds = [["deletion", "taken out", "circle", -0.24], ["keep_only", "kept alone", "square", 0], ["raised", "doubled", "diamond", 0.24]];
    const build = (colors) => ({
      data: kinds.map(([key, label, symbol, shift], k) => ({
        type: "scatter", mode: "markers", name: label, x: ordered.map((concept) => concept[key].mean), y: ordered.map((_, i) => i + shift),
        marker: { symbol, size: 9, color: [colors.bad, colors.soft, colors.good][k] },
        error_x: {
          type: "data", symmetric: false, thickness: 1.4, width: 0, color: [colors.bad, colors.soft, colors.good][k],
          array: ordered.map((concept) => concept[key].high - concept[key].mean), arrayminus: ordered.map((concept) => concept[key].mean - concept[key].low),
        },
        text: ordered.map((concept) => `${plain(concept.name)} ${label}: ${signed(concept[key].mean)}${interval(concept[key])}`),
        hovertemplate: "%{text}<extra></extra>",
      })),
      layout: {
        showlegend: true, legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" }, margin: { l: 12, r: 16, t: 34, b: 36 }, hovermode: "closest",
        xaxis: { title: { text: "change of the logit" }, zeroline: true },
        yaxis: { range: [ordered.length - 0.4, -0.6], tickvals: ordered.map((_, i) => i), ticktext: ordered.map((concept) => plain(short(concept.name))), zeroline: false },
      },
    });
    const head = ["concept", ...kinds.flatMap(([key]) => [key, `${key} low`, `${key} high`])];
    graphs.draw(figure, name, build, () => [head, ...ordered.map((concept) => [concept.name, ...kinds.flatMap(([key]) => [concept[key].mean, concept[key].low, concept[key].high])])]);
  }

  function proximity(figure, ordered, name, choose) {
    const placed = ordered.filter((concept) => concept.xy !== null);
    if (placed.length === 0) {
      figure.querySelector("[data-graph]").replaceWith(el("p", { class: "soft" }, "Places of the concepts are not known."));
      return;
    }
    const build = (colors) => ({
      data: [{
        type: "scatter", mode: "markers+text", x: placed.map((concept) => concept.xy[0]), y: placed.map((concept) => concept.xy[1]), cliponaxis: false,
        text: placed.map((concept) => plain(concept.named ? short(concept.name) : String(concept.id))), textposition: "top center", textfont: { size: 12, color: colors.ink },
        marker: { opacity: 1, color: placed.map((concept) => concept.color), size: placed.map((concept) => 12 + 26 * Math.sqrt(Math.abs(concept.share))), line: { width: 1.5, color: placed.map((concept) => (concept.important ? colors.ink : colors.surface)) } },
        customdata: placed.map((concept) => `${plain(concept.name)}, ${concept.percent ?? "–"} %`), hovertemplate: "%{customdata}<extra></extra>",
      }],
      layout: {
        hovermode: "closest", margin: { l: 24, r: 24, t: 24, b: 24 },
        xaxis: { showticklabels: false, zeroline: false, showgrid: false }, yaxis: { showticklabels: false, zeroline: false, showgrid: false },
      },
    });
    graphs.draw(figure, name, build, () => [["concept", "name", "x", "y", "share"], ...placed.map((concept) => [concept.id, concept.name, ...concept.xy, concept.share])],
      (graph) => graph.on("plotly_click", (event) => choose(placed[event.points[0].pointIndex].id)));
  }

  return { shares, effects, proximity };
})();
