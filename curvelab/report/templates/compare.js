(function () {
  "use strict";
  var body = document.body, find = document.getElementById("find");
  var runs = Array.prototype.slice.call(document.querySelectorAll("[data-run]"));
  var known = Array.prototype.slice.call(document.querySelectorAll("tr[data-words]"));
  find.parentNode.hidden = false;
  find.addEventListener("input", function () {
    var wanted = find.value.toLowerCase().split(/\s+/).filter(Boolean), hits = {};
    known.forEach(function (row) {
      hits[row.dataset.run] = wanted.every(function (word) { return row.dataset.words.indexOf(word) >= 0; });
    });
    body.classList.toggle("finding-runs", wanted.length > 0);
    runs.forEach(function (one) { one.classList.toggle("hit", wanted.length > 0 && hits[one.dataset.run] === true); });
  });
  function key(row, column) {
    var cell = row.cells[column], number = parseFloat(cell.dataset.key);
    return isNaN(number) ? cell.textContent.trim().toLowerCase() : number;
  }
  function compare(a, b) {
    if (typeof a !== typeof b) { return typeof a === "number" ? -1 : 1; }
    return a < b ? -1 : a > b ? 1 : 0;
  }
  document.querySelectorAll("table.sortable").forEach(function (table) {
    table.querySelectorAll("thead th").forEach(function (head, column) {
      var button = document.createElement("button");
      button.type = "button";
      while (head.firstChild) { button.appendChild(head.firstChild); }
      head.appendChild(button);
      button.addEventListener("click", function () {
        var falling = head.getAttribute("aria-sort") === "ascending", rows = Array.prototype.slice.call(table.tBodies[0].rows);
        table.querySelectorAll("th[aria-sort]").forEach(function (one) { one.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        rows.sort(function (a, b) { return compare(key(a, column), key(b, column)) * (falling ? -1 : 1); });
        rows.forEach(function (row) { table.tBodies[0].appendChild(row); });
      });
    });
  });
})();
