// Tables that sort, and give themselves as CSV.  The rows are the page's own.
import { download, pythonText } from "./core.js";

/** What a cell sorts by: its `data-value`, else its text; numbers as numbers. */
export function sortKey(text, type) {
  if (type !== "number") return text.toLocaleLowerCase("en");
  const value = parseFloat(text.replace(/[,%\s]/g, ""));
  return Number.isNaN(value) ? null : value;
}

/** Positions of the keys in sorted order; ties keep their order, nothing goes last. */
export function sortedOrder(keys, descending) {
  const sign = descending ? -1 : 1;
  const order = keys.map((_, index) => index);
  return order.sort((a, b) => {
    const [one, other] = [keys[a], keys[b]];
    if (one === null || other === null) return (one === null) - (other === null) || a - b;
    if (one === other) return a - b;
    return (one < other ? -1 : 1) * sign;
  });
}

/** One CSV line a row; fields that need it are quoted, formulas are made harmless. */
export function toCsv(rows) {
  const field = (text) => {
    const safe = /^[=+@\t\r]/.test(text) || /^-[^\d.]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return rows.map((row) => row.map(field).join(",")).join("\n") + "\n";
}

function cellText(cell) {
  return cell.dataset.value ?? cell.textContent.trim();
}

function sortTable(table, column, header, type) {
  const descending = header.getAttribute("aria-sort") !== "descending" && type === "number"
    ? true
    : header.getAttribute("aria-sort") === "ascending";
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const keys = rows.map((row) => sortKey(cellText(row.cells[column]), type));
  body.append(...sortedOrder(keys, descending).map((index) => rows[index]));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
}

/** Give every heading of a table a button that sorts by its column. */
export function startSorting(table) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    if ("fixed" in header.dataset) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => sortTable(table, column, header, header.dataset.type));
  });
}

/** How many rows of a table are shown; empty while all of them are. */
export function countText(shown, all) {
  return shown === all ? "" : `${shown} of ${all}`;
}

/** Keep saying how many rows a filter leaves. */
export function startCount(holder, filter) {
  filter.changed = () => {
    const shown = filter.rows.filter((row) => !row.hidden).length;
    holder.textContent = countText(shown, filter.rows.length);
  };
}

/** The lines of a CSV for some of a table's rows, by name: plain numbers, empty where there is nothing. */
export function csvLines({ columns, rows }, names) {
  const line = (values) => values.map((value) => (value === null ? "" : pythonText(value)));
  return [columns, ...names.map((name) => line(rows[name]))];
}

/** Download the rows that are shown, in their order. */
export function startCsv(button, table, name, csv) {
  button.addEventListener("click", () => {
    const shown = [...table.tBodies[0].rows].filter((row) => !row.hidden);
    download(`${name}.csv`, toCsv(csvLines(csv, shown.map((row) => row.dataset.trial))));
  });
}
