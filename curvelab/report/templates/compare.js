// Search: all words must hold. "name" in the run's name, verdict or findings; setting=value, also != < > <= >=, numbers as numbers.
const MOST_LABELS = 12, LINE = 13;
const find = document.getElementById("find"), count = document.getElementById("hits");
const marked = Array.from(document.querySelectorAll("[data-run]"));
const known = Array.from(document.querySelectorAll("tr[data-words]"), row => ({
  run: row.dataset.run, name: row.cells[0].textContent, words: row.dataset.words, told: JSON.parse(row.dataset.told)
}));
const called = Object.fromEntries(known.map(one => [one.run, one.name]));

function same(a, b) { return a === b || Math.abs(a - b) <= 1e-9 * Math.max(Math.abs(a), Math.abs(b)); }
function numberOf(text) { return text.trim() === "" ? NaN : Number(text); }
function compares(value, sign, wanted) {
  const a = typeof value === "number" ? value : numberOf(String(value)), b = numberOf(wanted);
  if (isNaN(a) || isNaN(b)) { return sign === "=" ? String(value) === wanted : sign === "!=" && String(value) !== wanted; }
  // A fraction is shown in three digits: what is seen is what can be looked for.
  const alike = same(a, b) || (!Number.isInteger(a) && same(Number(a.toPrecision(3)), b));
  if (sign === "=" || sign === "!=") { return alike === (sign === "="); }
  return sign === "<" ? a < b && !same(a, b) : sign === ">" ? a > b && !same(a, b) : sign === "<=" ? a < b || same(a, b) : a > b || same(a, b);
}
function holds(one, word) {
  const [, key, sign, wanted] = /^([^=<>!]+)(!=|<=|>=|=|<|>)(.+)$/.exec(word) || [];
  if (key && wanted) {
    const names = Object.keys(one.told), exact = names.filter(name => name === key);
    const meant = exact.length ? exact : names.filter(name => name.includes(key));
    if (meant.some(name => compares(one.told[name], sign, wanted))) { return true; }
    return sign === "=" && one.words.includes(word);
  }
  if (!isNaN(numberOf(word))) {
    const whole = new RegExp("(^|[^0-9.])" + word.replace(/[.+]/g, "\\$&") + "(?![0-9]|\\.[0-9]|e[-+]?[0-9])");
    return whole.test(one.words) || Object.values(one.told).some(value => compares(value, "=", word));
  }
  return one.words.includes(word) || Object.values(one.told).some(value => typeof value === "string" && value.includes(word));
}

// The runs that are found come first in each table; the order that was there returns with an empty search.
const tables = Array.from(document.querySelectorAll("table.sortable"), table => ({table, rows: Array.from(table.tBodies[0].rows)}));
function lift() {
  tables.forEach(one => {
    const hit = row => row.classList.contains("hit");
    one.table.tBodies[0].append(...one.rows.filter(hit), ...one.rows.filter(row => !hit(row)));
  });
}
tables.forEach(one => makeSortable(one.table, () => { one.rows = Array.from(one.table.tBodies[0].rows); lift(); }));

// Curves that have no name of their own get one while they are found.
function named(sheet, hits) {
  sheet.querySelectorAll(".found").forEach(text => text.remove());
  const box = sheet.viewBox.baseVal, low = box.height - 30;
  const fixed = Array.from(sheet.querySelectorAll("text.label.hit"), text => text.y.baseVal[0].value);
  const ends = hits.slice(0, MOST_LABELS).map(path => ({path, at: path.getPointAtLength(path.getTotalLength())})).sort((a, b) => a.at.y - b.at.y);
  const places = [];
  ends.forEach(({at}) => {
    let y = Math.max(at.y + 4, 14, places.length ? places[places.length - 1] + LINE : 0);
    while (fixed.some(one => Math.abs(one - y) < LINE)) { y += 1; }
    places.push(y);
  });
  for (let i = places.length - 1, limit = low; i >= 0; i -= 1) {
    places[i] = Math.min(places[i], limit);
    limit = places[i] - LINE;
  }
  ends.forEach(({path, at}, i) => {
    const text = document.createElementNS("http://www.w3.org/2000/svg", "text");
    text.textContent = called[path.dataset.run].slice(0, 40);
    text.setAttribute("class", "label found hit");
    text.dataset.run = path.dataset.run;
    sheet.append(text);
    text.setAttribute("x", Math.min(at.x + 8, box.width - text.getComputedTextLength() - 4));
    text.setAttribute("y", places[i]);
  });
}
const sheets = Array.from(document.querySelectorAll("svg.wide"));
function label(on) {
  sheets.forEach(sheet => named(sheet, on && sheet.getClientRects().length ? Array.from(sheet.querySelectorAll("path.ghost.hit")) : []));
}

function search() {
  const wanted = find.value.toLowerCase().replace(/\s*(!=|<=|>=|=|<|>)\s*/g, "$1").split(/[\s,]+/).filter(Boolean), on = wanted.length > 0;
  const hits = new Set(known.filter(one => on && wanted.every(word => holds(one, word))).map(one => one.run));
  document.body.classList.toggle("finding-runs", on);
  marked.forEach(one => one.classList.toggle("hit", hits.has(one.dataset.run)));
  count.textContent = on ? hits.size + " of " + known.length + (known.length === 1 ? " run" : " runs") : "";
  lift();
  label(on);
}
find.parentNode.hidden = false;
find.addEventListener("input", search);
document.querySelectorAll("input[name=axis]").forEach(one => one.addEventListener("change", () => label(find.value.trim() !== "")));
