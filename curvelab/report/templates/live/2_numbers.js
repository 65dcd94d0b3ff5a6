// Searching, numbers in words, ticks, and the trend of a curve.

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
  const i = max(0, below(list, x));
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

const scientific = (number) => number.toExponential(2).replace(/\.?0*e\+?/, "e");

const whole = (number) => number.toLocaleString("en");

function shortened(number) {
  const size = abs(number);
  if (Number.isInteger(number) && size < 1e7) return whole(number);
  if (size >= 1e6 || size < 1e-3) return scientific(number);
  return size >= 1000 ? whole(Math.round(number)) : `${Number(number.toPrecision(4))}`;
}

// One label of an axis whose labels lie `apart` and reach up to `size`.
function label(number, apart, size) {
  if (number === 0) return "0";
  if (size >= 1e15 || size < 1e-3) return scientific(number);
  const [factor, suffix] = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]].find(([one]) => size >= one) || [1, ""];
  if (factor > 1 && (size >= 1e4 || apart >= 500)) return Number((number / factor).toPrecision(6)) + suffix;
  const digits = min(12, max(0, -floor(log10(apart) + 1e-9)));
  return number.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function ticks(low, high, most, least = 0) {
  const rough = max(least, (high - low) / most), power = 10 ** floor(log10(rough));
  const apart = [1, 2, 5, 10].find((one) => one * power >= rough * (1 - 1e-9)) * power;
  const found = [], size = max(abs(low), abs(high));
  for (let k = Math.ceil(low / apart - 1e-9); k <= high / apart + 1e-9 && found.length < 50; k++) {
    found.push([k * apart, label(k * apart, apart, size)]);
  }
  return found;
}

function ticksUp({ low, high, unit, log }, most) {
  if (!log) return ticks(low * unit, high * unit, most);
  const whole = [], fine = [];
  for (let k = floor(low); k <= high; k++) {
    for (const one of [1, 2, 5]) fine.push(one * 10 ** k);
    whole.push(10 ** k);
  }
  const few = (whole.length > 3 ? whole : fine).filter((one) => log10(one) >= low && log10(one) <= high);
  const every = Math.ceil(few.length / (most + 2));
  return few.filter((_, i) => i % every === 0).map((one) => [one, label(one, one, one)]);
}

// Seconds of a unit in which so long a time is a number of few digits, and its name.
const unitOf = (seconds) => [[86400, " d"], [3600, " h"], [60, " min"], [1, " s"]].find(([one]) => seconds > 2 * one) || [0.001, " ms"];

function ticksAcross(a, b, most) {
  const [size, name] = axisNow === "time" ? unitOf(b - a) : [1, ""];
  const whole = axisNow === "step" || axisNow === "tokens" ? 1 : 0;
  return ticks(a / size, b / size, most, whole).map(([at, text]) => [at * size, text + name]);
}

// The trend: the running median over a share of the finite points, smoothed once more so that it has no stairs

function trend(one) {
  if (!one.trends.has(smoothing)) {
    const rows = [...one.value.keys()].filter((i) => one.value[i] !== null);
    const half = max(2, Math.round((rows.length * smoothing) / 200));
    const medians = runningMedian(rows.map((i) => one.value[i]), half);
    one.trends.set(smoothing, { step: rows.map((i) => one.step[i]), value: runningMean(medians, Math.ceil(half / 3)), rows });
  }
  return one.trends.get(smoothing);
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
    const near = values.slice(max(0, i - half), i + half + 1);
    const mean = near.reduce((sum, one) => sum + one / near.length, 0);
    return Number.isFinite(mean) ? mean : value;
  });
}
