const find = document.getElementById("find");
const runs = Array.from(document.querySelectorAll("[data-run]"));
const known = Array.from(document.querySelectorAll("tr[data-words]"));
find.parentNode.hidden = false;
find.addEventListener("input", () => {
  const wanted = find.value.toLowerCase().split(/\s+/).filter(Boolean), hits = {};
  known.forEach(row => { hits[row.dataset.run] = wanted.every(word => row.dataset.words.includes(word)); });
  document.body.classList.toggle("finding-runs", wanted.length > 0);
  runs.forEach(one => one.classList.toggle("hit", wanted.length > 0 && hits[one.dataset.run] === true));
});
document.querySelectorAll("table.sortable").forEach(table => makeSortable(table));
