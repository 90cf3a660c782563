import assert from "node:assert/strict";
import { test } from "node:test";

import { percentText, place } from "../../../cars_bench/reports/static/core.js";
import { boundaries, confusionLayout, countWords, errorColour, fittingNames, groupedOrder, legendCounts, makeGroups, nearestCell, nextCell, viridis, wrongWords } from "../../../cars_bench/reports/static/confusion.js";
import { stepped } from "../../../cars_bench/reports/static/files.js";
import { cardPasses, digitsOf, shownText } from "../../../cars_bench/reports/static/gallery.js";
import { classColour, isError, nearestPoint, pointText } from "../../../cars_bench/reports/static/map.js";
import { axesOf, endLabel, inBrushes, nameTop, optionIndex, position, winnerAt } from "../../../cars_bench/reports/static/parallel.js";
import { curvePath, titleText } from "../../../cars_bench/reports/static/trial.js";

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
});

test("a card passes by its words, which hold the file's name, its kind and its number", () => {
  const card = { text: "Audi taken for BMW train/audi/0012.jpg", kind: "test", number: 0.9 };
  assert.ok(cardPasses(card, { query: "bmw", least: 0.5 }));
  assert.ok(cardPasses(card, { query: "audi/0012" }));
  assert.ok(!cardPasses(card, { query: "0013" }));
  assert.ok(!cardPasses(card, { least: 0.95 }));
  assert.ok(cardPasses(card, { kind: "test" }));
  assert.ok(!cardPasses(card, { kind: "train" }));
  assert.equal(digitsOf("0.001"), 3);
  assert.equal(digitsOf("1"), 0);
});

test("arrow keys go round the file names of a group", () => {
  assert.equal(stepped(0, -1, 5), 4);
  assert.equal(stepped(4, 1, 5), 0);
});

test("names of many axes stand in two rows by turns", () => {
  assert.equal(nameTop(0, 5), nameTop(1, 5));
  assert.notEqual(nameTop(0, 16), nameTop(1, 16));
});

test("the pairs that are shown are told of all that are kept", () => {
  assert.equal(shownText(3, 24), "3 of 24 shown");
});

test("the ends of an axis are written in full, and numbers find their choice", () => {
  const units = { key: "units_1", kind: "number", low: 64, high: 1024, options: [] };
  assert.deepEqual([endLabel(units, 0), endLabel(units, 1)], ["64", "1024"]);
  assert.equal(endLabel({ ...units, high: 0.123456 }, 1), "0.123");
  assert.equal(optionIndex(["0", "1e-6", "1e-5"], 0.000001), 1);
  assert.equal(optionIndex(["False", "True"], true), 1);
  assert.equal(optionIndex(["adam", "sgd"], "sgd"), 1);
});

test("a trial's title says which number it gives", () => {
  const trial = { trial_id: "t1", score: 0.5583, single: 0.5614, seeds: 3, curve: [[1, 0.5]] };
  assert.equal(titleText(trial), "t1, 55.83% on validation, the mean of 3 new seeds; 56.14% when it was picked (this curve)");
  assert.equal(titleText({ ...trial, seeds: 0 }), "t1, 55.83% on validation");
  assert.equal(titleText({ ...trial, score: null }), "t1");
});

test("the confusion is laid out by make, or those taken for each other side by side", () => {
  const data = { classes: [["X5", "BMW"], ["S4", "Audi"], ["A3", "Audi"]], confusion_order: [2, 0, 1] };
  assert.deepEqual(confusionLayout(data, "groups"), { order: [2, 1, 0], place: [2, 1, 0], groups: [["Audi", 0, 2], ["BMW", 2, 1]] });
  assert.deepEqual(confusionLayout(data, "confused"), { order: [2, 0, 1], place: [1, 2, 0], groups: [["", 0, 3]] });
});

const CELLS = [[0, 0, 5], [0, 3, 1], [2, 2, 4], [3, 0, 2]];

test("pointing snaps to the nearest cell that is not empty", () => {
  assert.deepEqual(nearestCell(CELLS, 0.4, 2.4), [0, 3, 1]);
  assert.deepEqual(nearestCell(CELLS, 9, 9), [2, 2, 4]);
  assert.equal(nearestCell([], 0, 0), undefined);
});

test("arrow keys go from one cell that is not empty to the next, straight ahead first", () => {
  assert.deepEqual(nextCell(CELLS, CELLS[0], [0, 1]), [0, 3, 1]);
  assert.deepEqual(nextCell(CELLS, CELLS[0], [1, 0]), [3, 0, 2]);
  assert.deepEqual(nextCell(CELLS, CELLS[1], [0, 1]), CELLS[1]);
});

test("each make is one group, and names that would overlap are left out, small makes first", () => {
  const classes = [["Audi A3", "Audi"], ["Audi S4", "Audi"], ["BMW X5", "BMW"], ["Fiat 500", "Fiat"]];
  const groups = makeGroups(classes, [0, 1, 2, 3]);
  assert.deepEqual(groups, [["Audi", 0, 2], ["BMW", 2, 1], ["Fiat", 3, 1]]);
  assert.deepEqual(fittingNames(groups, 10, 5).map(([make]) => make), ["Audi", "BMW", "Fiat"]);
  assert.deepEqual(fittingNames(groups, 5, 9), [["Audi", 5], ["Fiat", 17.5]]);
  assert.deepEqual(makeGroups([], []), []);
});

test("the colours of errors run to the fullest wrong cell, and the legend says which counts", () => {
  assert.equal(errorColour(4, 4), viridis(1));
  assert.notEqual(errorColour(1, 4), viridis(0));
  assert.equal(errorColour(1, 1), viridis(1));
  assert.deepEqual(legendCounts(3), [1, 2, 3]);
  assert.deepEqual(legendCounts(21), [1, 6, 11, 16, 21]);
  assert.deepEqual(legendCounts(1), [1]);
});

test("a cell counts its images out of those of the true class", () => {
  assert.equal(countWords([1, 2, 3], 8), "3 of 8 test images");
  assert.equal(countWords([1, 1, 1], 1), "1 of 1 test image, named right");
});

test("one image is said in the singular", () => {
  assert.equal(wrongWords(1), " image named wrong in a cell");
  assert.equal(wrongWords(3), " images named wrong in a cell");
});

test("each class of a few has a colour of its own, in light and in dark", () => {
  for (const dark of [false, true]) {
    const colours = [...Array(12).keys()].map((label) => classColour(label, 12, dark));
    assert.equal(new Set(colours).size, 12);
  }
  assert.notEqual(classColour(0, 12, true), classColour(0, 12, false));
  assert.equal(new Set([...Array(100).keys()].map((label) => classColour(label, 100, false))).size, 100);
});

test("the winner's star stands at its score, which need not be the best one", () => {
  const trials = [{ ...TRIALS[0], winner: true }, { ...TRIALS[1], winner: false }];
  const axes = axesOf(HYPERPARAMETERS, trials);
  assert.equal(winnerAt(axes, trials), 0);
  assert.equal(winnerAt(axes, TRIALS), null);
});
