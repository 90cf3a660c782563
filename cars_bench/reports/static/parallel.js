// Parallel coordinates: one line a trial, one axis a hyperparameter, brushes that filter the table.
import { element, percentText, place, pythonText } from "./core.js";

const PLOT = { width: 860, height: 264, top: 48, bottom: 24, side: 58, perAxis: 58 };
const ONE_ROW = 7;

/** The axes to draw: the hyperparameters that varied, then the score. */
export function axesOf(hyperparameters, trials) {
  const scores = trials.map((trial) => trial.score).filter((score) => score !== null);
  const score = { name: "top-1", kind: "number", log: false, options: [], low: Math.min(...scores), high: Math.max(...scores) };
  return [...hyperparameters.map((item) => ({ ...item, key: item.name })), { ...score, key: null }];
}

/** Where a trial lies on an axis, in [0, 1]; `null` where the hyperparameter was not active. */
export function position(axis, trial) {
  const value = axis.key === null ? trial.score : trial.values[axis.key];
  if (value === null || value === undefined) return null;
  if (!axis.options.length) return place(value, axis.low, axis.high, axis.log);
  const last = Math.max(axis.options.length - 1, 1);
  return optionIndex(axis.options, value) / last;
}

/** Where a value stands among the options; numbers are the same however they are spelt. */
export function optionIndex(options, value) {
  const text = pythonText(value);
  return options.findIndex((option) => option === text || (typeof value === "number" && Number(option) === value));
}

/** Whether every brush holds the trial; a brush is `[from, to]` in [0, 1] by axis number. */
export function inBrushes(axes, brushes, trial) {
  return [...brushes].every(([index, [low, high]]) => {
    const at = position(axes[index], trial);
    return at !== null && at >= low - 1e-9 && at <= high + 1e-9;
  });
}

/** A short label of an end of an axis. */
export function endLabel(axis, end) {
  if (axis.options.length) return axis.options[end ? axis.options.length - 1 : 0].slice(0, 12);
  const value = end ? axis.high : axis.low;
  if (axis.key === null) return percentText(value);
  return String(Number.isInteger(value) ? value : Number(value.toPrecision(3)));
}

/** Where an axis is named: in two rows by turns where there are many, so that names do not meet. */
export function nameTop(index, count) {
  return count > ONE_ROW && index % 2 === 0 ? 13 : 28;
}

function linePath(axes, trial, x, y) {
  let pen = "M";
  return axes.reduce((path, axis, index) => {
    const at = position(axis, trial);
    if (at === null) return path;
    const step = `${pen}${x(index).toFixed(1)} ${y(at).toFixed(1)}`;
    pen = "L";
    return path + step;
  }, "");
}

/** Where the winner lies on the axis of the score, in [0, 1]; `null` without one. */
export function winnerAt(axes, trials) {
  const winner = trials.find((trial) => trial.winner);
  return winner ? position(axes.at(-1), winner) : null;
}

function winnerStar(axes, trials, x, y) {
  const at = winnerAt(axes, trials);
  if (at === null) return null;
  const made = element("text", { x: x(axes.length - 1) + 12, y: y(at) + 5, class: "star" });
  made.textContent = "★";
  return made;
}

/** Draw into `holder`; `filter` is the table's row filter. */
export function startParallel(holder, data, filter) {
  const trials = data.trials.filter((trial) => trial.score !== null && Object.keys(trial.values).length);
  const searched = trials.filter((trial) => !trial.trial_id.startsWith("probe-"));
  if (!data.hyperparameters.length || searched.length < 2) return;
  const axes = axesOf(data.hyperparameters, searched);
  const inner = PLOT.height - PLOT.top - PLOT.bottom;
  const width = Math.max(PLOT.width, PLOT.perAxis * axes.length);
  const x = (index) => PLOT.side + (index * (width - 2 * PLOT.side)) / (axes.length - 1);
  const y = (at) => PLOT.top + (1 - at) * inner;
  const svg = element("svg", { viewBox: `0 0 ${width} ${PLOT.height}`, class: "parallel", role: "group" });
  svg.style.minWidth = `${Math.round(0.75 * width)}px`;
  svg.setAttribute("aria-label", "Parallel coordinates; each axis has a brush");
  const lines = searched.map((trial) => {
    const path = element("path", { d: linePath(axes, trial, x, y), class: trial.winner ? "line winner" : "line" });
    return [trial, path];
  });
  svg.append(...lines.map(([, path]) => path));
  const star = winnerStar(axes, searched, x, y);
  if (star) svg.append(star);
  const brushes = new Map();
  const update = () => {
    const kept = new Set();
    for (const [trial, path] of lines) {
      const inside = inBrushes(axes, brushes, trial);
      path.classList.toggle("out", !inside);
      if (inside) kept.add(trial.trial_id);
    }
    filter.set("brush", (row) => !brushes.size || kept.has(row.dataset.trial));
    status.textContent = brushes.size ? `${kept.size} of ${searched.length} trials inside the brushes` : "";
    clear.hidden = !brushes.size;
  };
  const status = element("span", { role: "status", class: "hint" });
  const clear = element("button", { type: "button" }, "Clear brushes");
  const marks = axes.map((axis, index) => brushAxis(svg, axis, index, x(index), y, inner, brushes, update, nameTop(index, axes.length)));
  clear.addEventListener("click", () => {
    brushes.clear();
    marks.forEach((show) => show());
    update();
  });
  holder.append(svg, element("p", { class: "tools" }, clear, status));
  update();
}

function brushAxis(svg, axis, index, x, y, inner, brushes, update, top) {
  const group = element("g", { class: "axis" });
  const text = (content, top, weight) => {
    const made = element("text", { x, y: top, "text-anchor": "middle", class: weight });
    made.textContent = content;
    return made;
  };
  const mark = element("rect", { x: x - 7, width: 14, y: PLOT.top, height: 0, class: "brush" });
  const target = element("rect", { x: x - 14, width: 28, y: PLOT.top - 6, height: inner + 12, class: "target", tabindex: 0, role: "slider" });
  target.setAttribute("aria-label", `Brush on ${axis.name}: arrow keys move it, Escape clears it`);
  target.setAttribute("aria-valuemin", 0);
  target.setAttribute("aria-valuemax", 100);
  group.append(
    text(axis.name, top, "name"), text(endLabel(axis, 1), PLOT.top - 6, "end"), text(endLabel(axis, 0), PLOT.height - 8, "end"),
    element("line", { x1: x, x2: x, y1: PLOT.top, y2: PLOT.top + inner }), mark, target,
  );
  const show = () => {
    const [low, high] = brushes.get(index) ?? [0, 0];
    mark.setAttribute("y", y(high));
    mark.setAttribute("height", Math.max(0, y(low) - y(high)));
    target.setAttribute("aria-valuenow", Math.round(100 * low));
    target.setAttribute("aria-valuetext", brushes.has(index) ? `${Math.round(100 * low)} to ${Math.round(100 * high)} percent of the axis` : "no brush");
  };
  const set = (range) => {
    if (range) brushes.set(index, range);
    else brushes.delete(index);
    show();
    update();
  };
  dragBrush(svg, target, inner, set);
  target.addEventListener("keydown", (event) => {
    const step = { ArrowUp: 0.1, ArrowDown: -0.1 }[event.key];
    if (event.key === "Escape") set(null);
    if (step === undefined) return;
    event.preventDefault();
    const low = Math.min(0.75, Math.max(0, (brushes.get(index)?.[0] ?? 0.4) + step));
    set([low, low + 0.25]);
  });
  svg.append(group);
  show();
  return show;
}

function dragBrush(svg, target, inner, set) {
  let start = null;
  const at = (event) => {
    const box = svg.getBoundingClientRect();
    const up = ((event.clientY - box.top) * PLOT.height) / box.height;
    return Math.min(1, Math.max(0, 1 - (up - PLOT.top) / inner));
  };
  target.addEventListener("pointerdown", (event) => {
    start = at(event);
    target.setPointerCapture(event.pointerId);
  });
  target.addEventListener("pointermove", (event) => {
    if (start !== null) set([Math.min(start, at(event)), Math.max(start, at(event))]);
  });
  target.addEventListener("pointerup", (event) => {
    if (start !== null && Math.abs(at(event) - start) < 0.02) set(null);
    start = null;
  });
}
