// Wakes the interactive parts.  Without it the page reads in full.
import { readIsland, startCopy, startPrinting, startTheme } from "./core.js";
import { RowFilter, startSearch } from "./filter.js";
import { startConfusion } from "./confusion.js";
import { copyNote, startFiles } from "./files.js";
import { startGallery } from "./gallery.js";
import { startMap } from "./map.js";
import { startParallel } from "./parallel.js";
import { startCount, startCsv, startSorting } from "./table.js";
import { trialDialog } from "./trial.js";

function startTables(data) {
  const filters = new Map();
  for (const table of document.querySelectorAll("table.sortable")) {
    startSorting(table);
    filters.set(table.id, new RowFilter([...table.tBodies[0].rows]));
  }
  for (const input of document.querySelectorAll("input[data-filter]")) {
    startSearch(input, filters.get(input.dataset.filter));
  }
  for (const holder of document.querySelectorAll("[data-count]")) {
    startCount(holder, filters.get(holder.dataset.count));
  }
  for (const button of document.querySelectorAll("button[data-csv]")) {
    const name = button.dataset.csv;
    startCsv(button, document.getElementById(name), `${data.title}-${name}`, data.csv);
  }
  return filters;
}

function startTrials(data) {
  const { dialog, show } = trialDialog();
  document.body.append(dialog);
  const trials = new Map(data.trials.map((trial) => [trial.trial_id, trial]));
  for (const row of document.querySelectorAll("tr[data-trial]")) {
    const holder = row.querySelector(".open");
    const button = document.createElement("button");
    button.type = "button";
    button.append(...holder.childNodes);
    holder.append(button);
    button.addEventListener("click", () => show(trials.get(row.dataset.trial)));
  }
}

function startContents() {
  const links = [...document.querySelectorAll("nav a")];
  const mark = (id) => links.forEach((link) => {
    if (link.hash === `#${id}`) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  });
  const watcher = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => mark(entry.target.id)),
    { rootMargin: "-20% 0px -70% 0px" },
  );
  document.querySelectorAll("main section").forEach((section) => watcher.observe(section));
}

for (const waiting of document.querySelectorAll(".needs-script")) waiting.hidden = false;
const islandData = readIsland(document);
const systemDark = matchMedia("(prefers-color-scheme: dark)").matches;
startTheme(document.getElementById("theme"), document.documentElement, systemDark);
for (const button of document.querySelectorAll("[data-copy]")) {
  startCopy(button, document.getElementById(button.dataset.copy));
}
const tableFilters = startTables(islandData);
const wake = (id, start) => {
  const holder = document.getElementById(id);
  if (holder) start(holder);
};
const atlasPicture = document.getElementById("atlas");
const start = async () => {
  await atlasPicture?.decode();
  wake("map", (holder) => startMap(holder, islandData, atlasPicture));
  wake("confusion", (holder) => startConfusion(holder, islandData, atlasPicture));
};
start();
wake("parallel", (holder) => startParallel(holder, islandData, tableFilters.get("trials")));
for (const name of ["gallery", "near-duplicates", "pairs", "suspects"]) wake(name, startGallery);
const { note, copy } = copyNote();
document.body.append(note);
for (const group of document.querySelectorAll("[data-files]")) startFiles(group, copy);
startTrials(islandData);
startContents();
startPrinting(document.documentElement);
