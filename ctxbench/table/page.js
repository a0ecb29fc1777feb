"use strict";
// Sorting by a heading's button: each group of rows within itself, empty cells always last.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const heading = button.closest("th");
    const table = heading.closest("table");
    const descending = heading.getAttribute("aria-sort") === "ascending";
    for (const other of table.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const column = Number(heading.dataset.column);
    const key = (row) => row.cells[column].dataset.value;
    const order = (a, b) =>
      heading.classList.contains("number")
        ? Number(a) - Number(b)
        : a.localeCompare(b, "en", { numeric: true });
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => row.cells[0].scope !== "rowgroup");
      rows.sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        return descending ? order(y, x) : order(x, y);
      });
      body.append(...rows);
    }
  });
}
