// Lets a reader look closer: values under a crosshair, zoom, other axes, smoothing, curves shown and hidden. The pictures
// stand in the page already and stay as they are until something is asked for that they do not show.
"use strict";
(() => {
  const DRAWN = 2.5; // % of the points in the window of the trend as the still pictures have it
  const LANE = 20, SEAM_LABEL = 14, LETTER = 6.4, MOST_MARKERS = 60; // as in the still pictures
  const data = JSON.parse(document.getElementById("curves").textContent);
  const tools = document.querySelector(".tools");
  const state = { axis: "step", range: null, smooth: DRAWN, hidden: new Set(), at: null };

  const series = data.series.map(({ name, step, value }) => {
    let at = 0;
    return { name, value, step: step.map((more) => (at += more)), trends: new Map() };
  });
  const axes = { step: { to: (step) => step, from: (step) => step } };
  for (const [name, [steps, values]] of Object.entries(data.axes)) {
    axes[name] = { to: through(steps, values), from: through(values, steps) };
  }
  const figures = [...document.querySelectorAll("figure[data-figure]")].map((element) => ({
    element,
    ...data.figures[element.dataset.figure],
    charts: [...element.querySelectorAll(":scope > svg")],
    readout: element.querySelector("figcaption").appendChild(document.createElement("span")),
  }));

  // --- numbers

  // Index of the last number of a rising list that is not above x, or -1.
  function below(list, x) {
    let low = 0, high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle] <= x) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  function nearest(list, x) {
    const i = Math.max(0, below(list, x));
    return i + 1 < list.length && list[i + 1] - x < x - list[i] ? i + 1 : i;
  }

  // The function through the points (from[i], to[i]): straight in between, on at the mean slope beyond the ends.
  function through(from, to) {
    const n = from.length, slope = (to[n - 1] - to[0]) / (from[n - 1] - from[0]);
    return (x) => {
      const i = below(from, x);
      if (i < 0) return to[0] + (x - from[0]) * slope;
      if (i >= n - 1) return to[n - 1] + (x - from[n - 1]) * slope;
      return to[i] + ((x - from[i]) / (from[i + 1] - from[i])) * (to[i + 1] - to[i]);
    };
  }

  function shortened(number) {
    const size = Math.abs(number);
    if (Number.isInteger(number) && size < 1e7) return number.toLocaleString("en");
    if (size >= 1e6 || size < 1e-3) return number.toExponential(2).replace(/\.?0*e\+?/, "e");
    return size >= 1000 ? Math.round(number).toLocaleString("en") : String(Number(number.toPrecision(4)));
  }

  // One label of an axis whose labels lie `apart` and reach up to `size`.
  function label(number, apart, size) {
    if (number === 0) return "0";
    if (size >= 1e15 || size < 1e-3) return number.toExponential(2).replace(/\.?0*e\+?/, "e");
    const [factor, suffix] = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]].find(([one]) => size >= one) || [1, ""];
    if (factor > 1 && (size >= 1e4 || apart >= 500)) return Number((number / factor).toPrecision(6)) + suffix;
    return number.toFixed(Math.min(12, Math.max(0, -Math.floor(Math.log10(apart) + 1e-9))));
  }

  function ticks(low, high, most, least = 0) {
    const rough = Math.max(least, (high - low) / most), power = 10 ** Math.floor(Math.log10(rough));
    const apart = [1, 2, 5, 10].find((one) => one * power >= rough * (1 - 1e-9)) * power;
    const found = [], size = Math.max(Math.abs(low), Math.abs(high));
    for (let k = Math.ceil(low / apart - 1e-9); k <= high / apart + 1e-9 && found.length < 50; k++) {
      found.push([k * apart, label(k * apart, apart, size)]);
    }
    return found;
  }

  function ticksUp({ low, high, unit, log }, most) {
    if (!log) return ticks(low * unit, high * unit, most);
    const whole = [], fine = [];
    for (let k = Math.floor(low); k <= high; k++) {
      for (const one of [1, 2, 5]) fine.push(one * 10 ** k);
      whole.push(10 ** k);
    }
    const few = (whole.length > 3 ? whole : fine).filter((one) => Math.log10(one) >= low && Math.log10(one) <= high);
    const every = Math.ceil(few.length / (most + 2));
    return few.filter((_, i) => i % every === 0).map((one) => [one, label(one, one, one)]);
  }

  function ticksAcross(a, b, most) {
    const units = [[86400, " d"], [3600, " h"], [60, " min"], [1, " s"]];
    const [size, name] = state.axis === "time" ? units.find(([one]) => b - a > 2 * one) || units[3] : [1, ""];
    const whole = state.axis === "step" || state.axis === "tokens" ? 1 : 0;
    return ticks(a / size, b / size, most, whole).map(([at, text]) => [at * size, text + name]);
  }

  // --- trend: the running median over a share of the finite points, smoothed once more so that it has no stairs

  function trend(one) {
    if (!one.trends.has(state.smooth)) {
      const rows = [...one.value.keys()].filter((i) => one.value[i] !== null);
      const half = Math.max(2, Math.round((rows.length * state.smooth) / 200));
      const medians = runningMedian(rows.map((i) => one.value[i]), half);
      one.trends.set(state.smooth, { step: rows.map((i) => one.step[i]), value: runningMean(medians, Math.ceil(half / 3)), rows });
    }
    return one.trends.get(state.smooth);
  }

  function runningMedian(values, half) {
    const sorted = [], out = [];
    for (let i = -half; i < values.length; i++) {
      const enters = i + half, leaves = i - half - 1;
      if (enters < values.length) sorted.splice(below(sorted, values[enters]) + 1, 0, values[enters]);
      if (leaves >= 0) sorted.splice(below(sorted, values[leaves]), 1);
      if (i >= 0) out.push(sorted[sorted.length >> 1]);
    }
    return out;
  }

  function runningMean(values, half) {
    return values.map((value, i) => {
      const near = values.slice(Math.max(0, i - half), i + half + 1);
      const mean = near.reduce((sum, one) => sum + one / near.length, 0);
      return Number.isFinite(mean) ? mean : value;
    });
  }

  // --- where things stand in a picture

  const shown = (figure) => figure.lines.filter(([place]) => !state.hidden.has(place));
  const isDrawn = () => state.axis === "step" && !state.range && state.smooth === DRAWN && !state.hidden.size;

  // Rows of a curve from the last before the range to the first after it.
  function rowsWithin(step, [first, last]) {
    return [Math.max(0, below(step, first)), Math.min(step.length - 1, below(step, last) + 1)];
  }

  function scaleOf(figure, range) {
    const [low, high, unit, log] = figure.y;
    return (state.range && fitted(figure, range, log)) || { low, high, unit, log };
  }

  function fitted(figure, range, log) {
    let low = Infinity, high = -Infinity;
    for (const [place] of shown(figure)) {
      const { step, value } = series[place], [a, b] = rowsWithin(step, range);
      for (let i = a; i <= b; i++) {
        if (value[i] === null || (log && value[i] <= 0)) continue;
        low = Math.min(low, value[i]);
        high = Math.max(high, value[i]);
      }
    }
    if (low > high) return null;
    const unit = log ? 1 : Math.max(Math.abs(low), Math.abs(high), 1e-290);
    const [a, b] = log ? [Math.log10(low), Math.log10(high)] : [low / unit, high / unit];
    const spare = 0.05 * (b - a) || 0.1;
    return { low: a - spare, high: b + spare, unit, log };
  }

  function viewOf(figure, svg) {
    const [left, top, width, height] = svg.dataset.box.split(" ").map(Number);
    const range = state.range || figure.x, { to, from } = axes[state.axis];
    const a = to(range[0]), b = to(range[1]), scale = scaleOf(figure, range);
    const up = (value) => ((scale.log ? Math.log10(value) : value / scale.unit) - scale.low) / (scale.high - scale.low);
    return {
      left, top, width, height, range, a, b, scale,
      x: (step) => (b > a ? left + ((to(step) - a) / (b - a)) * width : left + width / 2),
      y: (value) => top + height * (1 - (scale.log && value <= 0 ? 0 : up(value))),
      step: (x) => from(a + ((x - left) / width) * (b - a)),
    };
  }

  // --- drawing

  function add(parent, name, attributes, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return parent.appendChild(node);
  }

  const at = (x, y) => `${x.toFixed(1)} ${y.toFixed(1)}`;

  // A nested picture cuts off what reaches beyond the plot; `spare` px stay at its sides.
  function clipped(parent, top, height, { left, width }, spare) {
    const x = left - spare, w = width + 2 * spare;
    return add(parent, "svg", { x, y: top, width: w, height, viewBox: `${x} ${top} ${w} ${height}` });
  }

  function redraw(figure, svg) {
    svg.querySelector(":scope > .live")?.remove();
    svg.classList.toggle("is-live", !isDrawn());
    if (isDrawn()) return;
    const view = viewOf(figure, svg), live = add(svg, "g", { class: "live" });
    drawFrame(live, view);
    const plot = clipped(live, view.top, view.height, view, 0);
    drawUnder(plot, figure, view);
    for (const line of shown(figure)) drawLine(plot, line, view);
    drawOver(plot, figure, view);
    drawLanes(clipped(live, 0, view.top, view, 10), figure, view, svg.dataset.rows);
  }

  function drawFrame(live, { left, top, width, height, a, b, scale, y }) {
    for (const [value, text] of ticksUp(scale, Math.max(3, Math.floor(height / 40)))) {
      const up = y(value);
      if (!(up > top - 1 && up < top + height + 1)) continue;
      add(live, "path", { class: "grid", d: `M${at(left, up)}h${width}` });
      add(live, "text", { x: left - 6, y: up + 4, "text-anchor": "end" }, text);
    }
    add(live, "path", { class: "base", d: `M${at(left, top + height)}h${width}` });
    let free = -12;
    for (const [value, text] of ticksAcross(a, b, Math.max(3, Math.floor(width / 75)))) {
      const x = ((value - a) / (b - a)) * width, half = (text.length * LETTER) / 2;
      if (!(x - half >= free && x >= -1 && x + half <= width + 20)) continue;
      add(live, "text", { x: left + x, y: top + height + 17, "text-anchor": "middle" }, text);
      free = x + half + 10;
    }
  }

  function drawUnder(plot, figure, { x, top, height, range }) {
    const stripe = (kind, a, b) => {
      const wide = Math.max(3, x(b) - x(a));
      add(plot, "rect", { class: kind, x: x(a), y: top, width: wide, height });
      if (kind !== "warmup") add(plot, "path", { class: `edge ${kind}`, d: `M${at(x(a), top)}v${height}` });
    };
    if (figure.warmup !== null) stripe("warmup", Math.min(figure.x[0], range[0]), figure.warmup);
    for (const [kind, a, b] of figure.marks) if (kind === "span" || kind === "gap") stripe(kind, a, b);
  }

  function drawLine(plot, [place, colour, hasTrend], view) {
    const one = series[place], few = colour !== "train" && one.step.length <= MOST_MARKERS;
    const thin = hasTrend && state.smooth > 0;
    add(plot, "path", { class: `${few ? "eval" : thin ? "faint" : "raw"} ${colour}`, d: path(one, view) });
    if (few) for (let i = 0; i < one.step.length; i++) if (one.value[i] !== null) drawMarker(plot, colour, view.x(one.step[i]), view.y(one.value[i]));
    if (thin) add(plot, "path", { class: `trend ${colour}`, d: path(trend(one), view) });
    const foot = view.top + view.height * (colour === "train" ? 0.988 : 0.96);
    for (let i = 0; i < one.step.length; i++) {
      if (one.value[i] !== null) continue;
      const start = i;
      while (i + 1 < one.step.length && one.value[i + 1] === null) i++;
      add(plot, "path", { class: `rug ${colour}`, d: `M${at(view.x(one.step[start]) - 1, foot)}H${(view.x(one.step[i]) + 1).toFixed(1)}` });
    }
  }

  const MARKERS = { "eval-0": "m0-3.2 3.2 3.2-3.2 3.2-3.2-3.2z", "eval-1": "m-2.3-2.3h4.6v4.6h-4.6z", "eval-2": "m0-3 2.6 5h-5.2z" };

  function drawMarker(plot, colour, x, y) {
    add(plot, "path", { class: `fill ${colour}`, d: `M${at(x, y)}${MARKERS[colour]}` });
  }

  // A curve as a path. It breaks where values are not finite; a trend only where many are, or it would be in pieces.
  function path({ step, value, rows }, view) {
    const [a, b] = rowsWithin(step, view.range), most = 0.02 * (step[step.length - 1] - step[0]);
    let out = "", down = false;
    for (let i = a; i <= b; i++) {
      if (rows && i && rows[i] - rows[i - 1] > 1 && step[i] - step[i - 1] > most) down = false;
      const good = value[i] !== null;
      if (good) out += (down ? "L" : "M") + at(view.x(step[i]), view.y(value[i])) + (down ? "" : "h0");
      down = good;
    }
    return out;
  }

  function drawOver(plot, figure, { x, y, left, top, width, height }) {
    const [from, to] = [left, left + width];
    for (const [kind, a, b, first, last] of figure.marks) {
      if (kind === "level") add(plot, "path", { class: "level", d: `M${at(a === null ? from : x(a), y(first))}H${b === null ? to : x(b)}` });
      if (kind === "slope" && first !== null && last !== null) add(plot, "path", { class: "slope", d: `M${at(x(a), y(first))}L${at(x(b), y(last))}` });
      if (kind === "point" && b !== null) add(plot, "circle", { class: "point", cx: x(a), cy: y(b), r: 4 });
      if (kind === "point" && b === null) add(plot, "path", { class: "slope", d: `M${at(x(a) - 3, top + height - 12)}l6 6m0-6-6 6` });
    }
    for (const step of data.seams) add(plot, "path", { class: "seam", d: `M${at(x(step), top)}v${height}` });
    for (const step of figure.epochs) add(plot, "path", { class: "epoch", d: `M${at(x(step), top)}v7` });
    if (figure.best) {
      const [step, value] = figure.best;
      add(plot, "path", { class: "best", d: `M${at(x(step), y(value))}H${to}` });
      add(plot, "path", { class: "fill eval-0", d: `M${at(x(step), y(value) - 7.5)}l1.7 5.2h5.4l-4.4 3.2 1.7 5.2-4.4-3.2-4.4 3.2 1.7-5.2-4.4-3.2h5.4z` });
    }
  }

  function drawLanes(above, figure, { x, top, left, width }, rows) {
    const base = data.seams.length ? SEAM_LABEL : 0, row = (rows || "").split(" ");
    figure.lanes.forEach(([number, title, start, end, severity, moments], i) => {
      const y = top - base - LANE * (Number(row[i]) + 0.5), a = Math.max(left, x(start)), b = Math.min(left + width, x(end));
      if (a > b + 1) return;
      if (moments.length) for (const step of moments) add(above, "path", { class: `fill ${severity}`, d: `M${at(x(step), y + 4)}l-4-8h8z` });
      else add(above, "path", { class: `lane ${severity}`, d: `M${at(a, y)}H${b}` });
      const link = add(above, "a", { href: `#finding-${number}`, "aria-label": `Finding ${number}: ${title}` });
      add(link, "circle", { class: `fill ${severity}`, cx: a, cy: y, r: 9 });
      add(link, "text", { class: "number", x: a, y: y + 4, "text-anchor": "middle" }, number);
    });
  }

  // --- crosshair and readout

  function point(figure, svg) {
    svg.querySelector(":scope > .cross")?.remove();
    const view = viewOf(figure, svg), [first, last] = view.range;
    if (state.at === null || state.at < first || state.at > last) return [];
    const cross = add(svg, "g", { class: "cross" });
    add(cross, "path", { d: `M${at(view.x(state.at), view.top)}v${view.height}` });
    return shown(figure).filter(([place]) => series[place].step.length).map(([place, colour]) => {
      const { name, step, value } = series[place], i = nearest(step, state.at);
      const inside = step[i] >= first && step[i] <= last && value[i] !== null;
      if (inside) add(cross, "circle", { class: `fill ${colour}`, cx: view.x(step[i]), cy: view.y(value[i]), r: 4 });
      const text = value[i] === null ? "not finite" : shortened(value[i]);
      return { name, text: step[i] === state.at ? text : `${text} (step ${shortened(step[i])})` };
    });
  }

  function whereabouts(step) {
    const words = [`step ${shortened(step)}`];
    if (axes.epoch) words.push(`epoch ${shortened(Number(axes.epoch.to(step).toFixed(2)))}`);
    if (state.axis === "tokens") words.push(`${shortened(Math.round(axes.tokens.to(step)))} tokens`);
    if (state.axis === "time") words.push(`${shortened(Number((axes.time.to(step) / 3600).toFixed(2)))} h`);
    return words.join(", ");
  }

  function read(figure, values) {
    const several = figure.lines.length > 1;
    figure.readout.textContent = values.length
      ? `${whereabouts(state.at)}: ${values.map(({ name, text }) => (several ? `${name} ${text}` : text)).join(", ")}`
      : "";
  }

  // --- what happens when

  let asked = false, everything = false;
  function refresh(all) {
    everything ||= all;
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      for (const figure of figures) {
        for (const svg of figure.charts) {
          if (!svg.getClientRects().length) continue;
          if (everything) redraw(figure, svg);
          read(figure, point(figure, svg));
        }
      }
      asked = everything = false;
    });
  }

  function moveTo(step) {
    state.at = step;
    refresh(false);
  }

  // The step of the nearest point of any curve that is shown in the figure.
  function snapped(figure, step) {
    const near = shown(figure).filter(([place]) => series[place].step.length).map(([place]) => series[place].step[nearest(series[place].step, step)]);
    return near.length ? near.reduce((best, one) => (Math.abs(one - step) < Math.abs(best - step) ? one : best)) : null;
  }

  function zoomTo(range) {
    const [first, last] = figures[0].x;
    if (range && range[1] - range[0] < Math.min(1, (last - first) / 2)) return;
    const inside = range && [Math.max(first, range[0]), Math.min(last, range[1])];
    state.range = inside && (inside[0] > first || inside[1] < last) ? inside : null;
    refresh(true);
  }

  function zoom(factor, figure = figures[0]) {
    const { to, from } = axes[state.axis], range = state.range || figure.x, [a, b] = range.map(to);
    const centre = state.at !== null && state.at >= range[0] && state.at <= range[1] ? to(state.at) : (a + b) / 2;
    zoomTo([from(centre - (centre - a) * factor), from(centre + (b - centre) * factor)]);
  }

  function press(figure, event) {
    const [line] = shown(figure), steps = line ? series[line[0]].step : [], [first, last] = state.range || figure.x;
    const low = below(steps, first - 1e-9) + 1, high = below(steps, last), far = event.shiftKey ? 10 : 1;
    const here = state.at === null ? low - 1 : nearest(steps, state.at);
    const goal = { ArrowRight: here + far, ArrowLeft: here - far, Home: low, End: high }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (goal !== undefined && high >= low) {
      moveTo(steps[Math.min(high, Math.max(low, goal))]);
      requestAnimationFrame(() => (tools.querySelector("[role=status]").textContent = figure.readout.textContent));
    } else if (event.key === "+" || event.key === "=") zoom(0.5, figure);
    else if (event.key === "-") zoom(2, figure);
    else return;
    event.preventDefault();
  }

  function listen(figure, svg) {
    let start = null, box = null;
    const across = (event) => ((event.clientX - svg.getBoundingClientRect().left) * svg.viewBox.baseVal.width) / svg.clientWidth;
    const drop = () => {
      box?.remove();
      start = box = null;
    };
    svg.addEventListener("pointerdown", (event) => {
      if (event.button || event.target.closest("a")) return;
      if (event.pointerType !== "mouse") return moveTo(snapped(figure, viewOf(figure, svg).step(across(event))));
      start = across(event);
    });
    svg.addEventListener("pointermove", (event) => {
      const view = viewOf(figure, svg), x = Math.min(view.left + view.width, Math.max(view.left, across(event)));
      if (start !== null && Math.abs(x - start) > 4) {
        if (!box) svg.setPointerCapture(event.pointerId);
        box ||= add(svg, "rect", { class: "selection", y: view.top, height: view.height });
        box.setAttribute("x", Math.min(x, start));
        box.setAttribute("width", Math.abs(x - start));
      }
      moveTo(snapped(figure, view.step(x)));
    });
    svg.addEventListener("pointerup", (event) => {
      const { left, width, step } = viewOf(figure, svg), ends = [start, across(event)].map((x) => Math.min(left + width, Math.max(left, x)));
      if (box) zoomTo([step(Math.min(...ends)), step(Math.max(...ends))]);
      drop();
    });
    svg.addEventListener("pointercancel", drop);
    svg.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && moveTo(null));
    svg.addEventListener("blur", () => moveTo(null));
    svg.addEventListener("dblclick", () => zoomTo(null));
    svg.addEventListener("keydown", (event) => press(figure, event));
  }

  function makeToggle(item) {
    const place = Number(item.dataset.series), button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    button.append(...item.childNodes);
    item.append(button);
    item.className = "toggle";
    button.addEventListener("click", () => {
      state.hidden.delete(place) || state.hidden.add(place);
      for (const other of document.querySelectorAll(`li[data-series="${place}"] > button`)) {
        other.setAttribute("aria-pressed", String(!state.hidden.has(place)));
      }
      refresh(true);
    });
  }

  function setSmooth(percent) {
    state.smooth = percent;
    tools.querySelector(".smooth output").textContent = percent === DRAWN ? "as drawn" : percent ? `${percent} % of the points` : "off";
    refresh(true);
  }

  document.documentElement.classList.add("js");
  tools.hidden = false;
  for (const figure of figures) {
    figure.readout.className = "readout";
    for (const svg of figure.charts) {
      svg.setAttribute("role", "application"); // its keys are its own, not those of a screen reader
      svg.setAttribute("tabindex", "0");
      listen(figure, svg);
    }
  }
  document.querySelectorAll("li[data-series]").forEach(makeToggle);
  tools.addEventListener("input", ({ target }) => {
    if (target.type === "range") return setSmooth(Number(target.value));
    state.axis = target.value;
    refresh(true);
  });
  tools.addEventListener("click", ({ target }) => {
    const wanted = target.dataset.zoom;
    if (wanted === "in" || wanted === "out") zoom(wanted === "in" ? 0.5 : 2);
    if (wanted !== "reset") return;
    state.axis = "step";
    state.hidden.clear();
    for (const one of tools.querySelectorAll("input")) one.type === "range" ? (one.value = DRAWN) : (one.checked = one.value === "step");
    for (const one of document.querySelectorAll("li[data-series] > button")) one.setAttribute("aria-pressed", "true");
    setSmooth(DRAWN);
    zoomTo(null);
  });
  document.addEventListener("keydown", (event) => event.key === "Escape" && zoomTo(null));
  addEventListener("resize", () => refresh(true));
})();
