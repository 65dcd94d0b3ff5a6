// Draws a picture again where the still one does not show what was asked for: the same curves and marks.

// A curve as it was logged and its trend are switched on and off apart, by "3" and "3t".
const hides = (place) => hidden.has(`${place}`);
const shown = (figure) => figure.lines.filter(([place, , hasTrend]) => !hides(place) || (hasTrend && !hides(place + "t")));
const isDrawn = () => axisNow === "step" && !zoomed && smoothing === DRAWN && !hidden.size;

// Rows of a curve from the last before the range to the first after it.
function rowsWithin(step, [first, last]) {
  return [max(0, below(step, first)), min(step.length - 1, below(step, last) + 1)];
}

function scaleOf(figure, range) {
  const [low, high, unit, log] = figure.y;
  return (zoomed && fitted(figure, range, log)) || { low, high, unit, log };
}

function fitted(figure, range, log) {
  let low = Infinity, high = -Infinity;
  for (const [place] of shown(figure)) {
    const { step, value } = series[place], [a, b] = rowsWithin(step, range);
    for (let i = a; i <= b; i++) {
      if (value[i] === null || (log && value[i] <= 0)) continue;
      low = min(low, value[i]);
      high = max(high, value[i]);
    }
  }
  if (low > high) return null;
  const unit = log || (low === 0 && high === 0) ? 1 : max(abs(low), abs(high), 1e-290);
  const [a, b] = log ? [log10(low), log10(high)] : [low / unit, high / unit];
  const spare = 0.05 * (b - a) || 0.1;
  return { low: a - spare, high: b + spare, unit, log };
}

// Marks may lie so far beyond a part that their places could not be written.
const near = (share) => min(1e9, max(-1e9, share));

function viewOf(figure, svg) {
  let [left, top, width, height] = svg.dataset.box.split(" ").map(Number);
  const range = zoomed || figure.x, { to, from } = axes[axisNow];
  const a = to(range[0]), b = to(range[1]), scale = scaleOf(figure, range);
  // The margin was made for the labels of the whole; those of a part may be longer.
  const labels = isDrawn() ? [] : ticksUp(scale, max(3, floor(height / 40)));
  const more = max(left, ...labels.map(([, text]) => text.length * LETTER + 12)) - left;
  left += more;
  width -= more;
  const up = (value) => near(((scale.log ? log10(value) : value / scale.unit) - scale.low) / (scale.high - scale.low));
  return {
    left, top, width, height, range, a, b, labels,
    x: (step) => (b > a ? left + near((to(step) - a) / (b - a)) * width : left + width / 2),
    y: (value) => top + height * (1 - (scale.log && value <= 0 ? 0 : up(value))),
    step: (x) => from(a + ((x - left) / width) * (b - a)),
  };
}

function set(node, attributes) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

function add(parent, name, attributes, text) {
  const node = page.createElementNS("http://www.w3.org/2000/svg", name);
  if (text !== undefined) node.textContent = text;
  return parent.appendChild(set(node, attributes));
}

const stroke = (parent, kind, d) => add(parent, "path", { class: kind, d });
const at = (x, y) => `${x.toFixed(1)} ${y.toFixed(1)}`;

// A nested picture cuts off what reaches beyond the plot; `spare` px stay at its sides.
function clipped(parent, top, height, { left, width }, spare) {
  const x = left - spare, w = width + 2 * spare;
  return add(parent, "svg", { x, y: top, width: w, height, viewBox: `${x} ${top} ${w} ${height}` });
}

function redraw(figure, svg) {
  query(":scope > .live", svg)?.remove();
  svg.classList.toggle("is-live", !isDrawn());
  if (isDrawn()) return;
  const view = viewOf(figure, svg), live = add(svg, "g", { class: "live" });
  drawFrame(live, figure, view);
  const plot = clipped(live, view.top, view.height, view, 0);
  drawUnder(plot, figure, view);
  for (const line of shown(figure)) drawLine(plot, line, view);
  drawOver(plot, figure, view);
  drawLanes(clipped(live, 0, view.top, view, 10), figure, view, svg.dataset.rows);
}

function drawFrame(live, figure, view) {
  const { left, top, width, height, a, b, y } = view;
  for (const [value, text] of view.labels) {
    if (!(y(value) > top - 1 && y(value) < top + height + 1)) continue;
    stroke(live, "grid", `M${at(left, y(value))}h${width}`);
    add(live, "text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, text);
  }
  stroke(live, "base", `M${at(left, top + height)}h${width}`);
  let free = -12;
  for (const [value, text] of ticksAcross(a, b, max(3, floor(width / 75)))) {
    const x = ((value - a) / (b - a)) * width, half = (text.length * LETTER) / 2;
    if (!(x - half >= free && x >= -1 && x + half <= width + 20)) continue;
    add(live, "text", { x: left + x, y: top + height + 17, "text-anchor": "middle" }, text);
    free = x + half + 10;
  }
  add(live, "text", { class: "axis", x: left + width / 2, y: top + height + 34, "text-anchor": "middle" }, axisNow + thinned(figure, view));
}

// Of how many logged points two were kept, where a zoomed curve has fewer than the picture could show; else 0.
function sparse({ points, step }, { range, width }) {
  const [a, b] = rowsWithin(step, range);
  return zoomed && points > step.length && b - a < width ? Math.round((2 * points) / step.length) : 0;
}

function thinned(figure, view) {
  const most = max(0, ...shown(figure).map(([place]) => sparse(series[place], view)));
  return most ? ` (thinned: least and greatest of every ${whole(most)} points)` : "";
}

function drawUnder(plot, figure, { x, top, height, range }) {
  const stripe = (kind, a, b) => {
    const wide = max(3, x(b) - x(a));
    add(plot, "rect", { class: kind, x: x(a), y: top, width: wide, height });
    if (kind !== "warmup") stroke(plot, `edge ${kind}`, `M${at(x(a), top)}v${height}`);
  };
  if (figure.warmup !== null) stripe("warmup", min(figure.x[0], range[0]), figure.warmup);
  for (const [kind, a, b] of figure.marks) if (kind === "span" || kind === "gap") stripe(kind, a, b);
}

function drawLine(plot, [place, colour, hasTrend], view) {
  const one = series[place], few = colour !== "train" && one.step.length <= MOST_MARKERS;
  const thin = hasTrend && smoothing > 0 && !hides(place + "t");
  // What lies between the points that were kept is not known: they are not joined.
  const apart = sparse(one, view);
  if (!hides(place)) stroke(plot, `${few ? "eval" : apart ? "dots" : thin ? "faint" : "raw"} ${colour}`, path(one, view, apart));
  if (few) one.step.forEach((step, i) => one.value[i] !== null && stroke(plot, `fill ${colour}`, `M${at(view.x(step), view.y(one.value[i]))}${MARKERS[colour]}`));
  if (thin) stroke(plot, `trend ${colour}`, path(trend(one), view));
  const foot = view.top + view.height * (colour === "train" ? 0.988 : 0.96);
  let rug = "";
  for (let i = 0; i < one.step.length; i++) {
    if (one.value[i] !== null) continue;
    rug += `M${at(view.x(one.step[i]) - 1, foot)}`;
    while (one.value[i + 1] === null) i++;
    rug += `H${(view.x(one.step[i]) + 1).toFixed(1)}`;
  }
  if (rug) stroke(plot, `rug ${colour}`, rug);
}

const MARKERS = { "eval-0": "m0-3.2 3.2 3.2-3.2 3.2-3.2-3.2z", "eval-1": "m-2.3-2.3h4.6v4.6h-4.6z", "eval-2": "m0-3 2.6 5h-5.2z" };

// A curve as a path. It breaks where values are not finite; a trend only where many are, or it would be in pieces.
function path({ step, value, rows }, view, apart) {
  const [a, b] = rowsWithin(step, view.range), most = 0.02 * (step[step.length - 1] - step[0]);
  let out = "", down = false;
  for (let i = a; i <= b; i++) {
    if (rows && i && rows[i] - rows[i - 1] > 1 && step[i] - step[i - 1] > most) down = false;
    const good = value[i] !== null;
    if (good) out += (down ? "L" : "M") + at(view.x(step[i]), view.y(value[i])) + (down ? "" : "h0");
    down = good && !apart;
  }
  return out;
}

function drawOver(plot, figure, { x, y, left, top, width, height }) {
  const [from, to] = [left, left + width];
  for (const [kind, a, b, first, last] of figure.marks) {
    if (kind === "level") stroke(plot, "level", `M${at(a === null ? from : x(a), y(first))}H${b === null ? to : x(b)}`);
    if (kind === "slope" && first !== null && last !== null) stroke(plot, "slope", `M${at(x(a), y(first))}L${at(x(b), y(last))}`);
    if (kind === "point" && b !== null) add(plot, "circle", { class: "point", cx: x(a), cy: y(b), r: 4 });
    if (kind === "point" && b === null) stroke(plot, "slope", `M${at(x(a) - 3, top + height - 12)}l6 6m0-6-6 6`);
  }
  for (const step of data.seams) stroke(plot, "seam", `M${at(x(step), top)}v${height}`);
  for (const step of figure.epochs) stroke(plot, "epoch", `M${at(x(step), top)}v7`);
  if (figure.best) {
    const [step, value] = figure.best;
    stroke(plot, "best", `M${at(x(step), y(value))}H${x(max(...figure.lines.map(([place]) => series[place].step.at(-1))))}`);
    stroke(plot, "fill eval-0", `M${at(x(step), y(value) - 7.5)}l1.7 5.2h5.4l-4.4 3.2 1.7 5.2-4.4-3.2-4.4 3.2 1.7-5.2-4.4-3.2h5.4z`);
  }
}

function drawLanes(above, figure, { x, top, left, width }, rows) {
  const base = data.seams.length ? SEAM_LABEL : 0, row = (rows || "").split(" ");
  figure.lanes.forEach(([number, title, start, end, severity, moments], i) => {
    const y = top - base - LANE * (Number(row[i]) + 0.5), a = max(left, x(start)), b = min(left + width, x(end));
    if (a > b + 1) return;
    if (moments.length) for (const step of moments) stroke(above, `fill ${severity}`, `M${at(x(step), y + 4)}l-4-8h8z`);
    else stroke(above, `lane ${severity}`, `M${at(a, y)}H${b}`);
    const link = add(above, "a", { href: `#finding-${number}`, "aria-label": `Finding ${number}: ${title}` });
    add(link, "circle", { class: `fill ${severity}`, cx: a, cy: y, r: 9 });
    add(link, "text", { class: "number", x: a, y: y + 4, "text-anchor": "middle" }, number);
  });
}
