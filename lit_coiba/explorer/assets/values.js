// The values of a map behind its colors: read at a point, or saved as CSV.
"use strict";
litCoiba.values = (() => {
  const { beside, pageData } = litCoiba;

  // Values of samples[i].maps[j], row by row; null where they are not beside the page.
  async function read(i, j, map) {
    const address = pageData().beside.values;
    const all = address ? await beside(address) : null;
    const text = all && all[i] && all[i][j];
    if (!text) return null;
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const [rows, columns] = map.grid;
    if (bytes.length !== rows * columns) return null;
    const value = (row, column) => map.low + ((map.high - map.low) * bytes[row * columns + column]) / 255;
    return { rows, columns, value };
  }

  function table({ rows, columns, value }) {
    return Array.from({ length: rows }, (_, row) => Array.from({ length: columns }, (__, column) => value(row, column)));
  }

  return { read, table };
})();
