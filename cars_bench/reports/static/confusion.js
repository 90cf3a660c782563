// The confusion canvas: true classes down, predicted ones across, by make or by what is confused.
import { element } from "./core.js";
import { tilePicture } from "./map.js";

/** Labels ordered by make, then name; and where each label stands. */
export function groupedOrder(classes) {
  const order = classes.map((_, label) => label).sort((a, b) => {
    const [one, other] = [classes[a], classes[b]];
    return one[1].localeCompare(other[1], "en") || one[0].localeCompare(other[0], "en");
  });
  return { order, place: placesOf(order) };
}

/** Where each label stands in an order of all labels. */
export function placesOf(order) {
  const place = [];
  order.forEach((label, index) => (place[label] = index));
  return place;
}

/** The order asked for, with its groups: by make, or those taken for each other side by side. */
export function confusionLayout(data, kind) {
  if (kind === "groups") {
    const grouped = groupedOrder(data.classes);
    return { ...grouped, groups: makeGroups(data.classes, grouped.order) };
  }
  const order = data.confusion_order;
  return { order, place: placesOf(order), groups: [["", 0, order.length]] };
}

/** Places where one make ends and the next begins. */
export function boundaries(classes, order) {
  return order.flatMap((label, index) => (index && classes[label][1] !== classes[order[index - 1]][1] ? [index] : []));
}

/** The makes in order: `[make, first place, number of classes]`. */
export function makeGroups(classes, order) {
  const starts = order.length ? [0, ...boundaries(classes, order)] : [];
  return starts.map((from, index) => [classes[order[from]][1], from, (starts[index + 1] ?? order.length) - from]);
}

/** The makes whose names fit beside an axis, `[make, middle in pixels]`; large makes go first. */
export function fittingNames(groups, cell, gap) {
  const kept = [];
  for (const [make, from, count] of [...groups].sort((a, b) => b[2] - a[2])) {
    const middle = (from + count / 2) * cell;
    if (kept.every(([, other]) => Math.abs(other - middle) >= gap)) kept.push([make, middle]);
  }
  return kept;
}

/** Colour of a count: viridis, dark to light (van der Walt & Smith 2015), by share of the most. */
export function viridis(share) {
  const stops = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const at = Math.min(0.9999, Math.max(0, share)) * 4;
  const [index, rest] = [Math.floor(at), at % 1];
  const mix = stops[index].map((value, channel) => Math.round(value + (stops[index + 1][channel] - value) * rest));
  return `rgb(${mix.join(",")})`;
}

/** Colour of a number of errors, where the fullest wrong cell holds `most`. */
export function errorColour(count, most) {
  return viridis(most > 1 ? 0.4 + (0.6 * (count - 1)) / (most - 1) : 1);
}

/** The counts that the legend shows: all of them up to five, else five from 1 to the most. */
export function legendCounts(most) {
  const steps = Math.min(5, most);
  return Array.from({ length: steps }, (_, index) => Math.round(1 + (index * (most - 1)) / Math.max(1, steps - 1)));
}

/** The cell nearest to a place; cells are `[row, column, count]`. */
export function nearestCell(cells, row, column) {
  return leastBy(cells, ([r, c]) => (r - row) ** 2 + (c - column) ** 2);
}

/** The next cell from `from` in the direction `[down, right]`, straight ahead before aside. */
export function nextCell(cells, from, [down, right]) {
  const ahead = ([r, c]) => (r - from[0]) * down + (c - from[1]) * right;
  const aside = ([r, c]) => Math.abs((r - from[0]) * right) + Math.abs((c - from[1]) * down);
  return leastBy(cells.filter((cell) => ahead(cell) > 0), (cell) => ahead(cell) + 3 * aside(cell)) ?? from;
}

function leastBy(items, measure) {
  let [found, least] = [undefined, Infinity];
  for (const item of items) {
    const value = measure(item);
    if (value < least) [found, least] = [item, value];
  }
  return found;
}

/** What the card says of a cell; `of` is the number of test images of the true class. */
export function countWords([row, column, count], of) {
  return `${count} of ${of} test image${of === 1 ? "" : "s"}${row === column ? ", named right" : ""}`;
}

const CONFUSION_DARK = viridis(0);
const CONFUSION_RIGHT = "rgb(255 255 255 / 0.3)";

function drawNames(pen, groups, margin, side, colour) {
  const cell = side / (groups.at(-1)[1] + groups.at(-1)[2]);
  pen.font = "10px sans-serif";
  pen.fillStyle = colour;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const [make, middle] of fittingNames(groups, cell, 11)) {
    pen.fillText(make, margin - 5, margin + middle, margin - 7);
    pen.save();
    pen.translate(margin + middle, margin - 5);
    pen.rotate(Math.PI / 2);
    pen.fillText(make, 0, 0, margin - 7);
    pen.restore();
  }
}

function drawCells(pen, cells, most, cell) {
  const mark = Math.max(cell, 4);
  const inset = (cell - mark) / 2;
  for (const [row, column, count] of [...cells].sort((a, b) => a[2] - b[2])) {
    if (row === column) {
      pen.fillStyle = CONFUSION_RIGHT;
      pen.fillRect(column * cell, row * cell, cell, cell);
    } else {
      pen.fillStyle = errorColour(count, most);
      pen.fillRect(column * cell + inset, row * cell + inset, mark, mark);
    }
  }
}

function drawLines(pen, groups, side, cell) {
  pen.strokeStyle = "rgb(255 255 255 / 0.14)";
  for (const [, from] of groups.slice(1)) {
    pen.strokeRect(from * cell, 0, 0, side);
    pen.strokeRect(0, from * cell, side, 0);
  }
}

/** What the last number of the legend counts. */
export function wrongWords(most) {
  return ` ${most === 1 ? "image" : "images"} named wrong in a cell`;
}

function confusionLegend(holder, most) {
  const entry = (colour, text) => {
    const swatch = element("i");
    swatch.style.background = colour;
    return [swatch, ` ${text}`];
  };
  const right = `linear-gradient(${CONFUSION_RIGHT}, ${CONFUSION_RIGHT}), ${CONFUSION_DARK}`;
  const wrong = legendCounts(most).flatMap((count) => entry(errorColour(count, most), count));
  holder.replaceChildren(...wrong, wrongWords(most), ...entry(right, "named right"));
}

/** Wake the canvas inside `holder`; the cell nearest to the pointer shows both classes. */
export function startConfusion(holder, data, atlas) {
  const canvas = holder.querySelector("canvas");
  const card = holder.querySelector(".card");
  const chosen = holder.querySelector("select");
  const most = Math.max(1, ...data.matrix.map(([truth, predicted, count]) => (truth === predicted ? 0 : count)));
  let order, groups, cells, wrong, sizes;
  const arrange = () => {
    const layout = confusionLayout(data, chosen ? chosen.value : "confused");
    ({ order, groups } = layout);
    cells = data.matrix.map(([t, p, count]) => [layout.place[t], layout.place[p], count]);
    wrong = cells.filter(([row, column]) => row !== column);
    sizes = order.map((_, row) => cells.reduce((sum, [r, , count]) => sum + (r === row ? count : 0), 0));
  };
  arrange();
  let cursor = null;
  const margin = () => (canvas.clientWidth < 420 ? 62 : 88);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const draw = () => {
    const ratio = devicePixelRatio || 1;
    const [width, edge] = [canvas.clientWidth, margin()];
    const side = width - edge;
    const cell = side / order.length;
    canvas.width = canvas.height = width * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    drawNames(pen, groups, edge, side, colour("--muted"));
    pen.translate(edge, edge);
    pen.fillStyle = CONFUSION_DARK;
    pen.fillRect(0, 0, side, side);
    drawLines(pen, groups, side, cell);
    drawCells(pen, cells, most, cell);
    if (!cursor) return;
    const frame = Math.max(cell, 4) + 4;
    pen.strokeStyle = "#fff";
    pen.strokeRect((cursor[1] + 0.5) * cell - frame / 2, (cursor[0] + 0.5) * cell - frame / 2, frame, frame);
  };
  const show = (found) => {
    if (!found || found === cursor) return;
    cursor = found;
    draw();
    const [truth, predicted] = [order[found[0]], order[found[1]]];
    const side = (label, words) => element("div", {}, tilePicture(atlas, data.tile, data.class_tiles[label] ?? -1, 2), element("p", {}, `${words}: ${data.classes[label][0]}`));
    const number = element("p", { class: "big" }, countWords(found, sizes[found[0]]));
    card.replaceChildren(number, side(truth, "True"), side(predicted, "Predicted"));
  };
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    const at = (place) => ((place - margin()) / (box.width - margin())) * order.length - 0.5;
    show(nearestCell(cells, at(event.clientY - box.top), at(event.clientX - box.left)));
  };
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    show(cursor ? nextCell(cells, cursor, step) : wrong.find(([, , count]) => count === most) ?? cells[0]);
  });
  chosen?.addEventListener("change", () => {
    cursor = null;
    arrange();
    draw();
  });
  addEventListener("resize", draw);
  document.documentElement.addEventListener("themechange", draw);
  confusionLegend(holder.querySelector(".scale"), most);
  draw();
}
