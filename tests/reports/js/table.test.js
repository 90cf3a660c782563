import assert from "node:assert/strict";
import { test } from "node:test";

import { countText, csvLines, sortKey, sortedOrder, startCount, toCsv } from "../../../cars_bench/reports/static/table.js";
import { matches, RowFilter } from "../../../cars_bench/reports/static/filter.js";

test("numbers sort by value, with separators and percent signs", () => {
  assert.equal(sortKey("1,234", "number"), 1234);
  assert.equal(sortKey("63.20%", "number"), 63.2);
  assert.equal(sortKey("0.00012", "number"), 0.00012);
  assert.equal(sortKey("", "number"), null);
});

test("sorting is stable and puts nothing last, both ways", () => {
  assert.deepEqual(sortedOrder([2, null, 1, 2], false), [2, 0, 3, 1]);
  assert.deepEqual(sortedOrder([2, null, 1, 2], true), [0, 3, 2, 1]);
});

test("CSV quotes what needs it and disarms formulas, not numbers", () => {
  assert.equal(toCsv([["a,b", 'say "x"', "=1+1", "-0.5", "@x"]]), '"a,b","say ""x""",\'=1+1,-0.5,\'@x\n');
});

test("a query matches in any order and case", () => {
  assert.ok(matches("Audi S4 Sedan 2012", "2012 audi"));
  assert.ok(!matches("Audi S4 Sedan 2012", "audi 2007"));
  assert.ok(matches("anything", ""));
});

test("a row is shown only when every filter keeps it", () => {
  const rows = [{ n: 1 }, { n: 2 }, { n: 3 }];
  const filter = new RowFilter(rows);
  filter.set("words", (row) => row.n > 1);
  filter.set("brush", (row) => row.n < 3);
  assert.deepEqual(rows.map((row) => row.hidden), [true, false, true]);
  filter.set("brush", () => true);
  assert.deepEqual(rows.map((row) => row.hidden), [true, false, false]);
});

test("a filtered table says how many rows are left, and nothing once all are", () => {
  assert.equal(countText(4, 20), "4 of 20");
  const [filter, holder] = [new RowFilter([{ n: 1 }, { n: 2 }]), {}];
  startCount(holder, filter);
  filter.set("words", (row) => row.n > 1);
  assert.equal(holder.textContent, "1 of 2");
  filter.set("words", () => true);
  assert.equal(holder.textContent, "");
});

test("a CSV holds plain numbers and Python's words, row by row as asked", () => {
  const csv = { columns: ["trial_id", "score", "winner"], rows: { a: ["a", 0.75833, true], b: ["b", null, false] } };
  assert.equal(toCsv(csvLines(csv, ["b", "a"])), "trial_id,score,winner\nb,,False\na,0.75833,True\n");
});
