// One trial, opened from the table: its learning curve and its settings.
import { element, percentText, place } from "./core.js";

const WIDTH = 560;
const HEIGHT = 200;
const LEFT = 44;
const BOTTOM = 24;

/** The path of a curve of (epoch, share) points inside the box, as SVG path data. */
export function curvePath(points, width, height, top) {
  const last = Math.max(...points.map(([epoch]) => epoch), 2);
  return points
    .map(([epoch, value], index) => {
      const x = place(epoch, 1, last) * width;
      const y = height - place(value, 0, top) * height;
      return `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    })
    .join("");
}

/** A trial and its score, with what it was measured on: its own training, or others with new seeds. */
export function titleText(trial) {
  if (trial.score === null) return trial.trial_id;
  const score = percentText(trial.score, 2);
  if (!trial.seeds) return `${trial.trial_id}, ${score} on validation`;
  const own = trial.single === null ? "" : `; ${percentText(trial.single, 2)} when it was picked`;
  const seeds = trial.seeds === 1 ? "in one training with a new seed" : `the mean of ${trial.seeds} new seeds`;
  return `${trial.trial_id}, ${score} on validation, ${seeds}${own}${trial.curve.length ? " (this curve)" : ""}`;
}

function curveFigure(trial) {
  const top = Math.min(1, Math.max(...trial.curve.map(([, value]) => value)) * 1.15 || 1);
  const [width, height] = [WIDTH - LEFT - 10, HEIGHT - BOTTOM - 10];
  const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "trial-curve" });
  svg.setAttribute("aria-label", `Validation top-1 of ${trial.trial_id} by epoch`);
  const group = element("g", { transform: `translate(${LEFT},10)` });
  for (const share of [0, 0.5, 1]) {
    const y = height * (1 - share);
    group.append(element("line", { x1: 0, x2: width, y1: y, y2: y, stroke: "var(--rule)" }));
    const label = element("text", { x: -8, y: y + 4, "text-anchor": "end", fill: "var(--muted)", "font-size": 11 });
    label.textContent = percentText(top * share, 0);
    group.append(label);
  }
  const path = curvePath(trial.curve, width, height, top);
  group.append(element("path", { d: path, fill: "none", stroke: "var(--blue)", "stroke-width": 2 }));
  const axis = element("text", { x: width, y: height + 18, "text-anchor": "end", fill: "var(--muted)", "font-size": 11 });
  axis.textContent = `epoch ${trial.curve.at(-1)[0]}`;
  group.append(axis);
  svg.append(group);
  return svg;
}

function settingsList(title, pairs) {
  const entries = pairs.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  return [element("h4", {}, title), element("dl", { class: "facts" }, ...entries)];
}

/** A dialog that shows trials; one for the page. */
export function trialDialog() {
  const title = element("h3", { id: "trial-title" });
  const close = element("button", { type: "button" }, "Close");
  const body = element("div");
  const dialog = element("dialog", { "aria-labelledby": "trial-title" });
  dialog.append(element("header", {}, title, close), body);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  return {
    dialog,
    show(trial) {
      title.textContent = titleText(trial);
      body.replaceChildren(
        ...(trial.curve.length ? [curveFigure(trial)] : []),
        ...trial.settings.flatMap(([title, pairs]) => settingsList(title, pairs)),
      );
      dialog.showModal();
    },
  };
}
