// The strategy graph: a dot for each image, and the image beside the dot that is pointed at or reached by the arrow keys.
"use strict";
litCoiba.strategies = (() => {
  const { root, alone, el, fill, picture, fixed, percent, announce, graphs } = litCoiba;
  const MARGIN = { l: 14, r: 14, t: 14, b: 14 };

  function rowsOf(points, concepts) {
    const names = ["image", "x", "y", "top concept", "label", "correct", "probability", "logit", ...concepts.map((concept) => `${concept.name} (${concept.id})`)];
    return [names, ...points.id.map((id, i) => [
      id, points.x[i], points.y[i], concepts[points.top[i]].id, points.label[i], points.correct[i], points.probability[i], points.logit[i], ...points.contributions[i],
    ])];
  }

  function range(values) {
    const low = Math.min(...values);
    const high = Math.max(...values);
    const room = 0.06 * (high - low || 1);
    return [low - room, high + room];
  }

  function make(figure, points, layer, name) {
    const { concepts } = layer;
    const place = figure.querySelector("[data-graph]");
    const box = { x: range(points.x), y: range(points.y) };
    const card = el("div", { class: "hover-card", hidden: true });
    const shown = new Set(); // indices of concepts; empty = all
    let current = -1;
    place.after(card);

    const visible = (i) => shown.size === 0 || shown.has(points.top[i]);
    function build(colors) {
      const wrong = points.correct.map((correct) => correct === false);
      const dots = {
        type: "scatter", mode: "markers", x: points.x, y: points.y, hoverinfo: "none",
        marker: {
          size: wrong.map((is) => (is ? 10 : 9)), symbol: wrong.map((is) => (is ? "x" : "circle")), color: points.top.map((top) => concepts[top].color),
          opacity: points.id.map((_, i) => (visible(i) ? 0.9 : 0.08)), line: { width: 0.8, color: colors.surface },
        },
      };
      const ring = {
        type: "scatter", mode: "markers", hoverinfo: "skip", x: current < 0 ? [] : [points.x[current]], y: current < 0 ? [] : [points.y[current]],
        marker: { size: 18, symbol: "circle-open", color: colors.ink, line: { width: 2.5 } },
      };
      const hidden = { showgrid: false, zeroline: false, showticklabels: false, showline: false, automargin: false };
      return { data: [dots, ring], layout: { margin: MARGIN, hovermode: "closest", hoverdistance: 12, xaxis: { ...hidden, range: box.x }, yaxis: { ...hidden, range: box.y } } };
    }

    // Where a dot is, in pixels of the graph.
    function at(i) {
      const width = place.clientWidth - MARGIN.l - MARGIN.r;
      const height = place.clientHeight - MARGIN.t - MARGIN.b;
      return [
        MARGIN.l + (width * (points.x[i] - box.x[0])) / (box.x[1] - box.x[0]),
        MARGIN.t + height * (1 - (points.y[i] - box.y[0]) / (box.y[1] - box.y[0])),
      ];
    }

    function describe(i) {
      const concept = concepts[points.top[i]];
      const label = points.correct[i] === false ? ", the label is another" : "";
      return `${points.id[i]}: ${concept.name}, logit ${fixed(points.logit[i])}, probability ${percent(points.probability[i])}${label}`;
    }

    function show(i) {
      const concept = concepts[points.top[i]];
      fill(card,
        picture(points.thumb[i], points.id[i], { loading: "eager" }),
        el("strong", {}, concept.name),
        el("span", {}, `logit ${fixed(points.logit[i])} · ${percent(points.probability[i])}`),
        el("span", { class: "soft ellipsis" }, points.id[i]),
        points.correct[i] === false ? el("span", { class: "bad" }, "the label is another") : null);
      card.style.setProperty("--color", concept.color);
      card.hidden = false;
      const [x, y] = at(i);
      const left = Math.min(Math.max(x - card.offsetWidth / 2, 4), place.clientWidth - card.offsetWidth - 4);
      const above = y - card.offsetHeight - 14;
      card.style.setProperty("--x", `${Math.max(left, 4)}px`);
      card.style.setProperty("--y", `${place.offsetTop + (above > 0 ? above : y + 16)}px`);
    }

    function open(i) {
      if (points.sample[i] && !alone) window.location.href = root + points.sample[i];
      else if (points.thumb[i]) litCoiba.viewer.open(points.thumb[i], describe(i), concepts[points.top[i]].color);
    }

    // The nearest visible dot within 45 degrees of a direction; the first one when there is none yet.
    function neighbour(dx, dy) {
      if (current < 0) return points.id.findIndex((_, i) => visible(i));
      const [x, y] = at(current);
      let best = current;
      let nearest = Infinity;
      points.id.forEach((_, i) => {
        if (i === current || !visible(i)) return;
        const [u, v] = at(i);
        const along = (u - x) * dx + (v - y) * dy;
        const across = Math.abs((u - x) * dy) + Math.abs((v - y) * dx);
        if (along > 0 && along >= across && along + 2 * across < nearest) [best, nearest] = [i, along + 2 * across];
      });
      return best;
    }

    graphs.draw(figure, name, build, () => rowsOf(points, concepts), (graph, redraw) => {
      const leave = () => {
        if (current < 0) card.hidden = true;
      };
      graph.on("plotly_hover", (event) => show(event.points[0].pointIndex));
      graph.on("plotly_unhover", leave);
      graph.on("plotly_click", (event) => open(event.points[0].pointIndex));
      graph.addEventListener("keydown", (event) => {
        const ways = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
        if (ways[event.key]) current = neighbour(...ways[event.key]);
        else if (event.key === "Enter" && current >= 0) return open(current);
        else if (event.key === "Escape") current = -1;
        else return undefined;
        event.preventDefault();
        redraw();
        card.hidden = current < 0;
        if (current >= 0) {
          show(current);
          announce(describe(current));
        }
        return undefined;
      });
      graph.addEventListener("blur", () => {
        current = -1;
        card.hidden = true;
        redraw();
      });
      legend(figure.querySelector("[data-legend]"), points, concepts, shown, redraw);
    });
  }

  // A button for each concept that is the top one of some image; it shows only the images of what is pressed.
  function legend(place, points, concepts, shown, redraw) {
    const counts = concepts.map(() => 0);
    points.top.forEach((top) => (counts[top] += 1));
    const order = concepts.map((_, k) => k).filter((k) => counts[k] > 0).sort((a, b) => counts[b] - counts[a]);
    place.replaceChildren(...order.map((k) => {
      const chip = el("button", { type: "button", class: "chip", "aria-pressed": "false", style: { "--color": concepts[k].color } },
        el("span", { class: "swatch" }), concepts[k].name, " ", el("span", { class: "soft" }, String(counts[k])));
      chip.addEventListener("click", () => {
        if (!shown.delete(k)) shown.add(k);
        chip.setAttribute("aria-pressed", String(shown.has(k)));
        redraw();
      });
      return chip;
    }));
    if (points.correct.includes(false)) place.append(el("span", { class: "soft small" }, "× the label is another class"));
  }

  return { make };
})();
