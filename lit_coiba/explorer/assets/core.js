// What the other scripts share: the page's data, data that lie beside it, elements, numbers and downloads.
"use strict";
const litCoiba = (() => {
  const root = document.documentElement.dataset.root || "";
  const received = new Map(); // name of a file in data/ -> its content
  const waiting = new Map();

  // The data of this page, from its <script type="application/json">.
  function pageData() {
    const element = document.getElementById("page-data");
    return element ? JSON.parse(element.textContent) : null;
  }

  // Called by every file in data/: pages opened from disk may load scripts and not fetch JSON.
  function receive(name, content) {
    received.set(name, content);
  }

  // Load a script of the site once.
  function script(address) {
    if (!waiting.has(address)) {
      waiting.set(address, new Promise((resolve, reject) => {
        const element = document.createElement("script");
        element.src = root + address;
        element.onload = resolve;
        element.onerror = () => {
          waiting.delete(address);
          reject(new Error(`${address} could not be loaded`));
        };
        document.head.append(element);
      }));
    }
    return waiting.get(address);
  }

  // The content of a script such as data/NAME.js; its NAME is that of the file.
  async function beside(address) {
    const name = address.split("/").pop().replace(/\.js$/, "");
    if (!received.has(name)) await script(address);
    return received.get(name);
  }

  // The address of a file of the site; in a page that is one file, pictures are in its data.
  const url = (address) => (address.startsWith("data:") ? address : root + address);

  // An element. Properties: `class`, `dataset`, `on`, `style` (custom properties too), else attributes; texts are texts.
  function el(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "class") element.className = value;
      else if (name === "dataset") Object.assign(element.dataset, value);
      else if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
      else if (name === "style") for (const [key, worth] of Object.entries(value)) element.style.setProperty(key, worth);
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  // A picture of the site, {src, width, height}; nothing jumps while it loads.
  function picture(from, alternative, properties = {}) {
    if (!from) return el("span", { class: "no-picture", role: "img", "aria-label": `${alternative}: no picture`, ...properties });
    return el("img", {
      src: url(from.src), width: from.width, height: from.height, alt: alternative, loading: "lazy", decoding: "async", ...properties,
    });
  }

  // Put these into an element, in the place of what it has; null is nothing.
  function fill(place, ...children) {
    place.replaceChildren(...children.filter((child) => child !== null));
  }

  // A link to another page; its text alone in a page that is one file, and where there is no such page.
  const alone = "alone" in document.documentElement.dataset;
  const link = (address, text) => (address && !alone ? el("a", { href: root + address }, text) : el("span", {}, text));

  // A link to a file of the site. Browsers save it from a server, and open it from disk, beside the page.
  function file(address, text, kind = "button") {
    const name = address.startsWith("data:") ? `picture.${address.slice(address.indexOf("/") + 1, address.indexOf(";"))}` : address.split("/").pop();
    return el("a", { class: kind, href: address, download: name, target: "_blank", rel: "noopener" }, text);
  }

  const MISSING = "–";
  const known = (value) => value !== null && value !== undefined && Number.isFinite(value);
  const minus = (text) => text.replace("-", "−");
  const count = (value) => (known(value) ? value.toLocaleString("en-US") : MISSING);
  const fixed = (value, digits = 2) => (known(value) ? minus(value.toFixed(digits)) : MISSING);
  const percent = (value, digits = 0) => (known(value) ? minus((100 * value).toFixed(digits)) + " %" : MISSING);
  const signed = (value, digits = 2) => (known(value) && value > 0 ? "+" : "") + fixed(value, digits);

  // Hand a text to the person as a file.
  function download(name, text, type) {
    const address = URL.createObjectURL(new Blob([text], { type }));
    const link = el("a", { href: address, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  // Rows as CSV. A cell that a spreadsheet would take for a formula gets an apostrophe.
  function csv(rows) {
    const cell = (value) => {
      if (value === null || value === undefined) return "";
      let text = String(value);
      if (typeof value !== "number" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
      return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
  }

  // Call `begin` when an element comes near the window.
  function whenSeen(element, begin) {
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) {
        observer.disconnect();
        begin();
      }
    }, { rootMargin: "200px" });
    observer.observe(element);
  }

  // Say something to those who hear the page.
  function announce(text) {
    const line = document.getElementById("live");
    if (line) line.textContent = text;
  }

  // Which way an arrow key points among elements that wrap into rows; null for other keys.
  function arrow(key, elements, index) {
    if (key === "Home") return 0;
    if (key === "End") return elements.length - 1;
    if (key === "ArrowRight") return Math.min(index + 1, elements.length - 1);
    if (key === "ArrowLeft") return Math.max(index - 1, 0);
    if (key !== "ArrowDown" && key !== "ArrowUp") return null;
    const box = elements[index].getBoundingClientRect();
    const way = key === "ArrowDown" ? 1 : -1;
    let best = index;
    let nearest = Infinity;
    elements.forEach((element, i) => {
      const other = element.getBoundingClientRect();
      const rows = way * (other.top - box.top);
      const distance = rows + Math.abs(other.left - box.left) / 10000;
      if (rows > box.height / 2 && distance < nearest) [best, nearest] = [i, distance];
    });
    return best;
  }

  return { root, url, pageData, receive, script, beside, el, fill, link, alone, picture, file, known, count, fixed, percent, signed, download, csv, whenSeen, announce, arrow };
})();
window.litCoiba = litCoiba;
