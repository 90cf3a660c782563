// The map of the features: points on a canvas, the nearest one's picture beside it.
import { element } from "./core.js";
import { matches } from "./filter.js";

const EVEN_HUES = 12;

/** Index of the point nearest to a place, within a distance; -1 where none is. */
export function nearestPoint(points, x, y, within) {
  let [found, least] = [-1, within * within];
  points.forEach((point, index) => {
    const distance = (point[0] - x) ** 2 + (point[1] - y) ** 2;
    if (distance <= least) [found, least] = [index, distance];
  });
  return found;
}

/** Whether a point is a known error. */
export function isError(point) {
  return point[3] >= 0 && point[3] !== point[2];
}

/** A small picture cut out of the atlas, or nothing. */
export function tilePicture(atlas, tile, place, scale = 2) {
  const [width, height, columns] = tile;
  const canvas = element("canvas", { width: width * scale, height: height * scale, class: "tile-picture" });
  if (place >= 0 && atlas) {
    const [left, top] = [(place % columns) * width, Math.floor(place / columns) * height];
    canvas.getContext("2d").drawImage(atlas, left, top, width, height, 0, 0, width * scale, height * scale);
  }
  return canvas;
}

/** A colour of its own for each class: hues far apart, as bright as the paper asks. */
export function classColour(label, count, dark) {
  const hue = count <= EVEN_HUES ? (360 * label) / count : (137.508 * label) % 360;
  const lightness = (dark ? 66 : 40) + (label % 2) * (dark ? 10 : 14);
  return `hsl(${hue.toFixed(1)} 62% ${lightness}%)`;
}

function classLegend(holder, classes, dark) {
  const entries = classes.flatMap(([name], label) => {
    const swatch = element("i");
    swatch.style.background = classColour(label, classes.length, dark);
    return [swatch, ` ${name} `];
  });
  const many = `Coloured by class; ${classes.length} classes share hues, so point at a mark for its name.`;
  holder.replaceChildren(...(classes.length <= EVEN_HUES ? entries : [many]));
}

/** Words about a point. */
export function pointText(point, classes) {
  const name = classes[point[2]][0];
  if (point[3] < 0) return name;
  return isError(point) ? `${name}, taken for ${classes[point[3]][0]}` : `${name}, named right`;
}

/** Wake the map inside `holder`, which holds a canvas, a search field, a tick box and a card. */
export function startMap(holder, data, atlas) {
  const canvas = holder.querySelector("canvas");
  const [find, errors] = [holder.querySelector("input[type=search]"), holder.querySelector("input[type=checkbox]")];
  const card = holder.querySelector(".card");
  let chosen = -1;
  const shown = (point) =>
    (!errors?.checked || isError(point)) && (!find.value.trim() || matches(`${data.classes[point[2]][0]} ${point[5]}`, find.value.trim()));
  const style = () => getComputedStyle(document.documentElement);
  const colour = (name) => style().getPropertyValue(name).trim();
  const legend = holder.querySelector(".legend.by-class");
  const pointColour = (point, dark) => {
    if (legend) return classColour(point[2], data.classes.length, dark);
    return colour(isError(point) ? "--vermillion" : "--blue");
  };
  const draw = () => {
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const dark = style().colorScheme === "dark";
    if (legend) classLegend(legend, data.classes, dark);
    data.points.forEach((point, index) => {
      const [x, y] = [8 + point[0] * (width - 16), 8 + point[1] * (height - 16)];
      const visible = shown(point);
      pen.globalAlpha = visible ? 0.85 : 0.12;
      pen.strokeStyle = pen.fillStyle = pointColour(point, dark);
      pen.beginPath();
      if (isError(point)) {
        pen.moveTo(x - 3, y - 3); pen.lineTo(x + 3, y + 3); pen.moveTo(x - 3, y + 3); pen.lineTo(x + 3, y - 3);
        pen.lineWidth = 1.6;
        pen.stroke();
      } else {
        pen.arc(x, y, legend ? 3.2 : 2.6, 0, 7);
        pen.fill();
      }
      if (index === chosen) {
        pen.globalAlpha = 1;
        pen.beginPath();
        pen.arc(x, y, 8, 0, 7);
        pen.strokeStyle = colour("--ink");
        pen.stroke();
      }
    });
  };
  const show = (index) => {
    if (index === chosen) return;
    chosen = index;
    draw();
    if (index < 0) return;
    const point = data.points[index];
    card.replaceChildren(tilePicture(atlas, data.tile, point[4], 3), element("p", {}, pointText(point, data.classes)), element("p", { class: "file" }, point[5]));
  };
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left - 8) / (box.width - 16), (event.clientY - box.top - 8) / (box.height - 16)];
    const visible = data.points.map((point) => (shown(point) ? point : [9, 9]));
    show(nearestPoint(visible, x, y, 0.05));
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const order = data.points.map((_, index) => index).filter((index) => shown(data.points[index]));
    if (order.length) show(order.at((order.indexOf(chosen) + step + order.length) % order.length));
  });
  for (const input of [find, errors]) input?.addEventListener("input", draw);
  document.documentElement.addEventListener("themechange", draw);
  addEventListener("resize", draw);
  draw();
}
