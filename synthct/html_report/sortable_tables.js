"use strict";
// Tables that are sorted by their headings, and the box that shows all columns.
(() => {
  const value = (row, column) => {
    const cell = row.cells[column], raw = cell.dataset.value ?? cell.textContent.trim(), number = Number(raw);
    return raw !== "" && Number.isFinite(number) ? number : raw;
  };
  const compare = (a, b) => {
    if (a === "" || b === "") return a === b ? 0 : a === "" ? Infinity : -Infinity;  // what is empty stays last
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const headings = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    headings.forEach((heading, column) => {
      const button = heading.querySelector("button");
      if (!button) return;
      button.addEventListener("click", () => {
        const before = heading.getAttribute("aria-sort");
        const falling = before ? before === "ascending" : heading.dataset.first === "descending";
        for (const other of headings) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
        const rows = [...body.rows].sort((one, two) => {
          const order = compare(value(one, column), value(two, column));
          return Number.isFinite(order) ? (falling ? -order : order) : Math.sign(order);
        });
        body.append(...rows);
      });
    });
  }

  for (const box of document.querySelectorAll("input[data-columns-of]"))
    box.addEventListener("change", () =>
      document.getElementById(box.dataset.columnsOf).classList.toggle("all-columns", box.checked));
})();
