// Tables whose head sorts them: a button in each head cell that has text. `data-key` of a cell is its number; cells without
// one are sorted by their text, after all numbers.
function sortKey(row, column) {
  const cell = row.cells[column], number = parseFloat(cell.dataset.key);
  return isNaN(number) ? cell.textContent.trim().toLowerCase() : number;
}
function isEmpty(key) { return key === "" || key === "\u2013" || key === "not told"; }
function compareKeys(a, b) {
  if (typeof a !== typeof b) { return typeof a === "number" ? -1 : 1; }
  return a < b ? -1 : a > b ? 1 : 0;
}
function sortTable(table, column, falling) {
  const body = table.tBodies[0], rows = Array.from(body.rows, row => ({row, key: sortKey(row, column)}));
  table.querySelectorAll("th[aria-sort]").forEach(head => head.removeAttribute("aria-sort"));
  table.tHead.rows[0].cells[column].setAttribute("aria-sort", falling ? "descending" : "ascending");
  // What is empty or has no number stays at the end whichever way the numbers go.
  rows.sort((a, b) => isEmpty(a.key) - isEmpty(b.key) || compareKeys(a.key, b.key) * (falling && typeof a.key === typeof b.key ? -1 : 1));
  const sorted = document.createDocumentFragment();
  rows.forEach(one => sorted.append(one.row));
  body.append(sorted);
}
function makeSortable(table, then) {
  Array.from(table.tHead.rows[0].cells, (head, column) => {
    if ("fixed" in head.dataset || !head.textContent.trim()) { return; }
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      sortTable(table, column, head.getAttribute("aria-sort") === "ascending");
      if (then) { then(); }
    });
  });
}
