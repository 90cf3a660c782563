// The confusion canvas: true classes down, predicted ones across, grouped by make.
import { element } from "./core.js";
import { tilePicture } from "./map.js";

/** Labels ordered by make, then name; and where each label stands. */
export function groupedOrder(classes) {
  const order = classes.map((_, label) => label).sort((a, b) => {
    const [one, other] = [classes[a], classes[b]];
    return one[1].localeCompare(other[1], "en") || one[0].localeCompare(other[0], "en");
  });
  const place = [];
  order.forEach((label, index) => (place[label] = index));
  return { order, place };
}

/** Places where one make ends and the next begins. */
export function boundaries(classes, order) {
  return order.flatMap((label, index) => (index && classes[label][1] !== classes[order[index - 1]][1] ? [index] : []));
}

/** Colour of a count: viridis, dark to light (van der Walt & Smith 2015), by share of the most. */
export function viridis(share) {
  const stops = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const at = Math.min(0.9999, Math.max(0, share)) * 4;
  const [index, rest] = [Math.floor(at), at % 1];
  const mix = stops[index].map((value, channel) => Math.round(value + (stops[index + 1][channel] - value) * rest));
  return `rgb(${mix.join(",")})`;
}

/** Wake the canvas inside `holder`; hovering a cell shows both classes. */
export function startConfusion(holder, data, atlas) {
  const canvas = holder.querySelector("canvas");
  const card = holder.querySelector(".card");
  const { order, place } = groupedOrder(data.classes);
  const size = order.length;
  const counts = new Map(data.matrix.map(([t, p, count]) => [place[t] * size + place[p], count]));
  const most = Math.max(1, ...data.matrix.map(([, , count]) => count));
  let cursor = [0, 0];
  const draw = () => {
    const ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth;
    canvas.width = canvas.height = width * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.fillStyle = viridis(0);
    pen.fillRect(0, 0, width, width);
    const cell = width / size;
    for (const [key, count] of counts) {
      pen.fillStyle = viridis(0.25 + (0.75 * count) / most);
      pen.fillRect((key % size) * cell, Math.floor(key / size) * cell, Math.max(cell, 1.5), Math.max(cell, 1.5));
    }
    pen.strokeStyle = "rgb(255 255 255 / 0.14)";
    for (const at of boundaries(data.classes, order)) {
      pen.strokeRect(at * cell, 0, 0, width);
      pen.strokeRect(0, at * cell, width, 0);
    }
    pen.strokeStyle = "#fff";
    pen.strokeRect(cursor[1] * cell, cursor[0] * cell, cell, cell);
  };
  const show = (row, column) => {
    cursor = [row, column];
    draw();
    const [truth, predicted] = [order[row], order[column]];
    const count = counts.get(row * size + column) ?? 0;
    const side = (label, words) => element("div", {}, tilePicture(atlas, data.tile, data.class_tiles[label] ?? -1, 2), element("p", {}, `${words}: ${data.classes[label][0]}`));
    const number = element("p", { class: "big" }, `${count} test image${count === 1 ? "" : "s"}`);
    card.replaceChildren(number, side(truth, "True"), side(predicted, "Predicted"));
  };
  const clamp = (value) => Math.min(size - 1, Math.max(0, value));
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    show(clamp(Math.floor(((event.clientY - box.top) / box.height) * size)), clamp(Math.floor(((event.clientX - box.left) / box.width) * size)));
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    show(clamp(cursor[0] + step[0]), clamp(cursor[1] + step[1]));
  });
  addEventListener("resize", draw);
  draw();
}
