// The crosshair and its values, and what a reader's hands do.

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
  if (state.axis === "time") {
    const seconds = axes.time.to(step), [size, name] = unitOf(seconds);
    words.push(shortened(Number((seconds / size).toFixed(1))) + name);
  }
  return words.join(", ");
}

function read(figure, values) {
  const several = figure.lines.length > 1;
  figure.readout.textContent = values.length
    ? `${whereabouts(state.at)}: ${values.map(({ name, text }) => (several ? `${name} ${text}` : text)).join(", ")}`
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
  state.at = step;
  for (const figure of figures) figure.readout.classList.toggle("here", figure === here);
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
    moveTo(steps[Math.min(high, Math.max(low, goal))], figure);
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
    if (event.pointerType !== "mouse") return moveTo(snapped(figure, viewOf(figure, svg).step(across(event))), figure);
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
    moveTo(snapped(figure, view.step(x)), figure);
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
