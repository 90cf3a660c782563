// Which rows of a table are shown: those that match the words and that a brush keeps.

/** Whether a text holds every word of a query, in any order, whatever the case. */
export function matches(text, query) {
  const lower = text.toLocaleLowerCase("en");
  return query.toLocaleLowerCase("en").split(/\s+/).every((word) => lower.includes(word));
}

/** Filters of one table; a row is shown when all of them keep it. */
export class RowFilter {
  constructor(rows) {
    this.rows = rows;
    this.tests = new Map();
    this.changed = () => {};
  }

  /** Set or replace one filter by name and show what is left. */
  set(name, keeps) {
    this.tests.set(name, keeps);
    for (const row of this.rows) row.hidden = ![...this.tests.values()].every((test) => test(row));
    this.changed();
  }
}

/** Let a search field filter rows by their text. */
export function startSearch(input, filter) {
  input.addEventListener("input", () => {
    filter.set("words", (row) => matches(row.textContent, input.value.trim()));
  });
}
