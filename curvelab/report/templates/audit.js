// The table of runs: filters, search, sorting, and a view that can be sent because it stands in the address. Without this
// script the whole table is there.
const FIRST = 100, MORE = 1000, STALE = 36 * 3600;
const table = document.querySelector(".all-runs"), form = document.getElementById("filters");
let limit = FIRST;
if (table) {
  const matches = document.getElementById("matches"), rest = document.getElementById("rest");
  const rows = Array.from(table.tBodies[0].rows), heads = table.tHead.rows[0].cells;
  const fields = Array.from(form.elements).filter(one => one.name), named = Object.fromEntries(fields.map(one => [one.name, one]));
  const texts = new Map();
  // Name, verdict, findings and state: numbers are for sorting, and digits of a cost must not be found as a name.
  const text = row => {
    if (!texts.has(row)) { texts.set(row, [0, 2, 3, 4].map(i => row.cells[i].textContent).concat(row.dataset.w || "").join(" ").toLowerCase()); }
    return texts.get(row);
  };
  const chosen = name => {
    const field = named[name], option = field && field.selectedOptions[0];
    return !option || !option.value ? null : option.dataset.is === undefined ? option.value : option.dataset.is;
  };
  // A finding must be of the chosen pattern, in the chosen state and of the chosen severity at once.
  const test = () => {
    const wanted = named.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    const state = chosen("state"), severity = chosen("severity"), pattern = chosen("pattern"), run = chosen("run");
    const project = chosen("project"), rule = chosen("rule"), folder = chosen("folder");
    const fits = mark => (pattern === null || mark.slice(0, -2) === pattern) && (severity === null || mark.slice(-1) === severity[0])
      && (state === null || state === "u" || state.includes(mark.slice(-2, -1)));
    return row => {
      const data = row.dataset, marks = data.f ? data.f.split(" ") : [];
      if (run !== null && data.s !== run || project !== null && data.p !== project || rule !== null && data.r !== rule
        || folder !== null && data.d !== folder || state === "u" && data.u === undefined) { return false; }
      if (state === "none") {
        if (marks.length || severity !== null || pattern !== null && data.v !== pattern) { return false; }
      } else if (state !== null && state !== "u" || severity !== null) {
        // A verdict without a finding of its own, such as healthy: any finding of the run may be in the chosen state.
        const byVerdict = pattern !== null && data.v === pattern && !marks.some(mark => mark.slice(0, -2) === pattern);
        if (!marks.some(mark => fits(byVerdict ? pattern + mark.slice(-2) : mark))) { return false; }
      } else if (pattern !== null && data.v !== pattern && !marks.some(fits)) {
        return false;
      }
      return wanted.every(word => text(row).includes(word));
    };
  };
  const show = () => {
    const fits = test();
    let found = 0;
    for (const row of table.tBodies[0].rows) {
      const here = fits(row);
      found += here;
      row.hidden = !here;
      row.classList.toggle("beyond", here && found > limit);
    }
    const all = rows.length.toLocaleString("en"), number = found.toLocaleString("en");
    matches.textContent = found === rows.length ? whole : `${number} of ${all} ${rows.length === 1 ? "run" : "runs"}`;
    rest.hidden = found <= limit;
    rest.firstChild.textContent = found - limit <= MORE ? `Show all ${number}` : `Show ${MORE.toLocaleString("en")} more of ${number}`;
    fields.forEach(one => one.classList.toggle("set", one.value !== ""));
  };
  const sorting = () => {
    const column = Array.from(heads).findIndex(one => one.hasAttribute("aria-sort"));
    return column < 0 ? "" : `${heads[column].textContent}${heads[column].getAttribute("aria-sort") === "descending" ? "-" : ""}`;
  };
  const before = sorting(), whole = matches.textContent.split(";")[0];
  const write = () => {
    const view = new URLSearchParams(fields.filter(one => one.value !== "").map(one => [one.name, one.value]));
    if (sorting() !== before) { view.set("sort", sorting()); }
    const hash = view.toString();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  };
  // A link to a run that has no report: its row, wherever it is in the table.
  const reveal = () => {
    const row = rows.find(one => one.id && `#${one.id}` === location.hash);
    if (!row) { return; }
    fields.forEach(one => { one.value = ""; });
    show();
    row.classList.remove("beyond");
    row.scrollIntoView({block: "center"});
  };
  const read = () => {
    if (location.hash && !location.hash.includes("=")) { reveal(); return; }
    const view = new URLSearchParams(location.hash.slice(1));
    fields.forEach(one => {
      const wanted = view.get(one.name) || "";
      // A view of another night may name a pattern that nothing shows now: it finds nothing rather than everything.
      if (one.options && !Array.from(one.options).some(option => option.value === wanted)) {
        const option = new Option(`${wanted} (0)`, wanted);
        option.dataset.is = "-";
        one.add(option);
      }
      one.value = wanted;
    });
    const sort = view.get("sort") || before, falling = sort.endsWith("-");
    const column = Array.from(heads).findIndex(one => one.textContent === (falling ? sort.slice(0, -1) : sort));
    if (column >= 0 && sort !== sorting()) { sortTable(table, column, falling); }
    show();
    if (location.hash) { document.getElementById("runs").scrollIntoView(); }
  };
  makeSortable(table, () => { show(); write(); });
  form.hidden = false;
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("input", () => { limit = FIRST; show(); write(); });
  form.addEventListener("reset", () => setTimeout(() => { limit = FIRST; show(); write(); }));
  rest.firstChild.addEventListener("click", () => { limit += MORE; show(); });
  addEventListener("hashchange", read);
  document.querySelectorAll("[data-view]").forEach(one => {
    const link = document.createElement("a");
    link.href = `#${one.dataset.view}`;
    link.append(...one.childNodes);
    one.append(link);
  });
  show();
  read();
}
// A page that stays open over a weekend must not pass for tonight's.
const stale = document.getElementById("stale");
function tellAge() {
  const old = Date.now() / 1000 - parseFloat(stale.dataset.finished);
  stale.hidden = !(old > STALE);
  if (!stale.hidden) {
    const text = `This audit is ${Math.round(old / 86400)} days old: reload the page, and if it stays so, see whether the nightly audit still runs.`;
    if (stale.textContent !== text) { stale.textContent = text; }
  }
}
tellAge();
setInterval(tellAge, 600000);
