import assert from "node:assert/strict";
import { test } from "node:test";

import { percentText, place } from "../../../cars_bench/reports/static/core.js";
import { boundaries, groupedOrder, viridis } from "../../../cars_bench/reports/static/confusion.js";
import { cardPasses } from "../../../cars_bench/reports/static/gallery.js";
import { isError, nearestPoint, pointText } from "../../../cars_bench/reports/static/map.js";
import { axesOf, endLabel, inBrushes, nameTop, position } from "../../../cars_bench/reports/static/parallel.js";
import { curvePath } from "../../../cars_bench/reports/static/trial.js";

const HYPERPARAMETERS = [
  { name: "rate", kind: "number", log: true, low: 0.0001, high: 1, options: [] },
  { name: "bn", kind: "choice", log: false, low: null, high: null, options: ["False", "True"] },
];
const TRIALS = [
  { trial_id: "a", score: 0.5, values: { rate: 0.01, bn: true } },
  { trial_id: "b", score: 0.7, values: { rate: 1 } },
];

test("places on linear and log scales", () => {
  assert.equal(place(5, 0, 10), 0.5);
  assert.ok(Math.abs(place(0.01, 0.0001, 1, true) - 0.5) < 1e-12);
  assert.equal(place(3, 3, 3), 0.5);
  assert.equal(percentText(0.6349, 1), "63.5%");
});

test("the last axis is the score, and an inactive hyperparameter has no place", () => {
  const axes = axesOf(HYPERPARAMETERS, TRIALS);
  assert.equal(axes.at(-1).name, "top-1");
  assert.ok(Math.abs(position(axes[0], TRIALS[0]) - 0.5) < 1e-12);
  assert.equal(position(axes[1], TRIALS[0]), 1);
  assert.equal(position(axes[1], TRIALS[1]), null);
  assert.deepEqual([endLabel(axes[0], 0), endLabel(axes[1], 1), endLabel(axes[2], 1)], ["0.0001", "True", "70.0%"]);
});

test("brushes keep trials inside all of them", () => {
  const axes = axesOf(HYPERPARAMETERS, TRIALS);
  assert.ok(inBrushes(axes, new Map([[0, [0.4, 0.6]]]), TRIALS[0]));
  assert.ok(!inBrushes(axes, new Map([[0, [0.4, 0.6]], [2, [0.9, 1]]]), TRIALS[0]));
  assert.ok(!inBrushes(axes, new Map([[1, [0, 1]]]), TRIALS[1]));
  assert.ok(inBrushes(axes, new Map(), TRIALS[1]));
});

test("the nearest point is found only within reach", () => {
  const points = [[0, 0, 0, 0, 0], [1, 1, 0, 1, 1]];
  assert.equal(nearestPoint(points, 0.9, 0.9, 0.2), 1);
  assert.equal(nearestPoint(points, 0.5, 0.5, 0.2), -1);
  assert.ok(isError(points[1]));
  assert.ok(!isError([0, 0, 3, -1, 0]));
  assert.equal(pointText(points[1], [["a", "A"], ["b", "B"]]), "a, taken for b");
});

test("classes group by make, then name", () => {
  const classes = [["BMW X5", "BMW"], ["Audi S4", "Audi"], ["Audi A3", "Audi"]];
  const { order, place: places } = groupedOrder(classes);
  assert.deepEqual(order, [2, 1, 0]);
  assert.deepEqual(places, [2, 1, 0]);
  assert.deepEqual(boundaries(classes, order), [2]);
});

test("viridis runs from dark to light", () => {
  assert.equal(viridis(0), "rgb(68,1,84)");
  assert.notEqual(viridis(1), viridis(0.5));
});

test("curves begin at the first epoch and cards pass by words and number", () => {
  assert.equal(curvePath([[1, 0], [3, 1]], 100, 50, 1), "M0.0 50.0L100.0 0.0");
  assert.ok(cardPasses("Audi taken for BMW", 0.9, "bmw", 0.5));
  assert.ok(!cardPasses("Audi taken for BMW", 0.4, "", 0.5));
});

test("names of many axes stand in two rows by turns", () => {
  assert.equal(nameTop(0, 5), nameTop(1, 5));
  assert.notEqual(nameTop(0, 16), nameTop(1, 16));
});
