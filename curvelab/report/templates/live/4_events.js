// The crosshair and its values, and what a reader's hands do.

function point(figure, svg) {
  query(":scope > .cross", svg)?.remove();
  const view = viewOf(figure, svg), [first, last] = view.range;
  if (pointed === null || pointed < first || pointed > last) return [];
  const cross = add(svg, "g", { class: "cross" });
  add(cross, "path", { d: `M${at(view.x(pointed), view.top)}v${view.height}` });
  return shown(figure).filter(([place]) => series[place].step.length).map(([place, colour]) => {
    const { name, step, value } = series[place], i = nearest(step, pointed);
    const inside = step[i] >= first && step[i] <= last && value[i] !== null;
    if (inside) add(cross, "circle", { class: `fill ${colour}`, cx: view.x(step[i]), cy: view.y(value[i]), r: 4 });
    const text = value[i] === null ? "not finite" : shortened(value[i]);
    return { name, text: step[i] === pointed ? text : `${text} (step ${whole(step[i])})` };
  });
}

function whereabouts(step) {
  const words = [`step ${whole(step)}`];
  if (axes.epoch) words.push(`epoch ${shortened(Number(axes.epoch.to(step).toFixed(2)))}`);
  if (axisNow === "tokens") words.push(`${whole(Math.round(axes.tokens.to(step)))} tokens`);
  if (axisNow === "time") {
    const seconds = axes.time.to(step), [size, name] = unitOf(seconds);
    words.push(shortened(Number((seconds / size).toFixed(1))) + name);
  }
  return words.join(", ");
}

function read(figure, values) {
  const several = figure.lines.length > 1;
  figure.readout.textContent = values.length
    ? `${whereabouts(pointed)}: ${values.map(({ name, text }) => (several ? `${name} ${text}` : text)).join(", ")}`
    : "";
}

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

function moveTo(step, here) {
  pointed = step;
  for (const figure of figures) figure.readout.classList.toggle("here", figure === here);
  refresh(false);
}

// The step of the nearest point of any curve that is shown in the figure.
function snapped(figure, step) {
  const near = shown(figure).filter(([place]) => series[place].step.length).map(([place]) => series[place].step[nearest(series[place].step, step)]);
  return near.length ? near.reduce((best, one) => (abs(one - step) < abs(best - step) ? one : best)) : null;
}

function zoomTo(range) {
  const [first, last] = figures[0].x;
  if (range && range[1] - range[0] < min(1, (last - first) / 2)) return;
  const inside = range && [max(first, range[0]), min(last, range[1])];
  zoomed = inside && (inside[0] > first || inside[1] < last) ? inside : null;
  refresh(true);
}

function zoom(factor, figure = figures[0]) {
  const { to, from } = axes[axisNow], range = zoomed || figure.x, [a, b] = range.map(to);
  const centre = pointed !== null && pointed >= range[0] && pointed <= range[1] ? to(pointed) : (a + b) / 2;
  zoomTo([from(centre - (centre - a) * factor), from(centre + (b - centre) * factor)]);
}

function press(figure, event) {
  const [line] = shown(figure), steps = line ? series[line[0]].step : [], [first, last] = zoomed || figure.x;
  const low = below(steps, first - 1e-9) + 1, high = below(steps, last), far = event.shiftKey ? 10 : 1;
  const here = pointed === null ? low - 1 : nearest(steps, pointed);
  const goal = { ArrowRight: here + far, ArrowLeft: here - far, Home: low, End: high }[event.key];
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (goal !== undefined && high >= low) {
    moveTo(steps[min(high, max(low, goal))], figure);
    requestAnimationFrame(() => (query("[role=status]").textContent = figure.readout.textContent));
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
  on(svg, "pointerdown", (event) => {
    if (event.button || event.target.closest("a")) return;
    if (event.pointerType !== "mouse") return moveTo(snapped(figure, viewOf(figure, svg).step(across(event))), figure);
    start = across(event);
  });
  on(svg, "pointermove", (event) => {
    const view = viewOf(figure, svg), x = min(view.left + view.width, max(view.left, across(event)));
    if (start !== null && abs(x - start) > 4) {
      if (!box) svg.setPointerCapture(event.pointerId);
      box ||= add(svg, "rect", { class: "selection", y: view.top, height: view.height });
      set(box, { x: min(x, start), width: abs(x - start) });
    }
    moveTo(snapped(figure, view.step(x)), figure);
  });
  on(svg, "pointerup", (event) => {
    const { left, width, step } = viewOf(figure, svg), ends = [start, across(event)].map((x) => min(left + width, max(left, x)));
    if (box) zoomTo([step(min(...ends)), step(max(...ends))]);
    drop();
  });
  on(svg, "pointercancel", drop);
  on(svg, "pointerleave", (event) => event.pointerType === "mouse" && moveTo(null));
  on(svg, "blur", () => moveTo(null));
  on(svg, "dblclick", () => zoomTo(null));
  on(svg, "keydown", (event) => press(figure, event));
}

const TOGGLES = "li[data-series]";

function makeToggle(item) {
  const what = item.dataset.series, button = page.createElement("button");
  button.type = "button";
  button.append(...item.childNodes);
  item.append(button);
  item.className = "toggle";
  on(button, "click", () => {
    hidden.delete(what) || hidden.add(what);
    showToggles();
    refresh(true);
  });
}

function showToggles() {
  for (const { firstChild, dataset } of all(TOGGLES)) set(firstChild, { "aria-pressed": !hides(dataset.series) });
}

function setSmooth(percent) {
  smoothing = percent;
  query(".smooth output").textContent = percent === DRAWN ? "as drawn" : percent ? `${percent} % of the points` : "off";
  refresh(true);
}

page.documentElement.classList.add("js");
tools.hidden = false;
for (const figure of figures) {
  figure.readout.className = "readout";
  for (const svg of figure.charts) {
    set(svg, { role: "application", tabindex: 0 }); // its keys are its own, not those of a screen reader
    listen(figure, svg);
  }
}
all(TOGGLES).forEach(makeToggle);
showToggles();
on(tools, "input", ({ target }) => {
  if (target.type === "range") return setSmooth(Number(target.value));
  axisNow = target.value;
  refresh(true);
});
on(tools, "click", ({ target }) => {
  const wanted = target.dataset.zoom;
  if (wanted === "in" || wanted === "out") zoom(wanted === "in" ? 0.5 : 2);
  if (wanted !== "reset") return;
  axisNow = "step";
  hidden.clear();
  for (const one of all("input", tools)) one.type === "range" ? (one.value = DRAWN) : (one.checked = one.value === "step");
  showToggles();
  setSmooth(DRAWN);
  zoomTo(null);
});
on(page, "keydown", (event) => event.key === "Escape" && zoomTo(null));
on(window, "resize", () => refresh(true));

// On paper nothing can be unfolded: all is open there, and as it was afterwards.
let folded = [];
on(window, "beforeprint", () => {
  folded = all("details:not([open])");
  for (const one of folded) one.open = true;
});
on(window, "afterprint", () => {
  for (const one of folded) one.open = false;
});
