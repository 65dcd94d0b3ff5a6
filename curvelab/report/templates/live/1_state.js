// What there is to draw, and what the reader has asked for.

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
