// All that the plain pages (the index, a comparison) need: the theme button, and tables that sort.
import { startPrinting, startTheme } from "./core.js";
import { RowFilter, startSearch } from "./filter.js";
import { startSorting } from "./table.js";

for (const waiting of document.querySelectorAll(".needs-script")) waiting.hidden = false;
const systemDark = matchMedia("(prefers-color-scheme: dark)").matches;
startTheme(document.getElementById("theme"), document.documentElement, systemDark);
startPrinting(document.documentElement);
for (const table of document.querySelectorAll("table.sortable")) startSorting(table);
for (const input of document.querySelectorAll("input[data-filter]")) {
  startSearch(input, new RowFilter([...document.getElementById(input.dataset.filter).tBodies[0].rows]));
}
