// What there is to draw, and what the reader has asked for.

const DRAWN = 2.5; // % of the points in the window of the trend as the still pictures have it
const LANE = 20, SEAM_LABEL = 14, LETTER = 6.4, MOST_MARKERS = 60; // as in the still pictures
const max = Math.max, min = Math.min, abs = Math.abs, floor = Math.floor, log10 = Math.log10;
const page = document, on = (target, kind, act) => target.addEventListener(kind, act);
const query = (selector, within = page) => within.querySelector(selector);
const all = (selector, within = page) => [...within.querySelectorAll(selector)];
const data = JSON.parse(page.getElementById("curves").textContent);
const tools = query(".tools");
let axisNow = "step", zoomed = null, smoothing = DRAWN, pointed = null; // what the reader has asked for
const hidden = new Set();

const series = data.series.map((one) => {
  let at = 0;
  return { ...one, step: one.step.map((more) => (at += more)), trends: new Map() };
});
const axes = { step: { to: (step) => step, from: (step) => step } };
for (const [name, [steps, values]] of Object.entries(data.axes)) {
  axes[name] = { to: through(steps, values), from: through(values, steps) };
}
const figures = all("figure[data-figure]").map((element) => ({
  element,
  ...data.figures[element.dataset.figure],
  charts: all(":scope > svg", element),
  readout: query("figcaption", element).appendChild(page.createElement("span")),
}));
