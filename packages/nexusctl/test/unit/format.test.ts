import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { bar } from "../../src/format/bar.ts";
import { painter, printable, wantsColour } from "../../src/format/colour.ts";
import { renderPairs, renderTable } from "../../src/format/table.ts";
import { wrapWords } from "../../src/format/wrap.ts";
import { formatAge, formatBytes, formatDuration, formatMiB, plural } from "../../src/format/units.ts";

test("sizes are in the unit that reads best", () => {
  const cases: [number, string][] = [
    [0, "0 B"],
    [1023, "1023 B"],
    [1536, "1.5 KiB"],
    [512 * 1024 ** 2, "512 MiB"],
    [1.25 * 1024 ** 3, "1.3 GiB"],
    [20 * 1024 ** 3, "20 GiB"],
    [2 * 1024 ** 4, "2 TiB"],
  ];
  for (const [bytes, text] of cases) assert.equal(formatBytes(bytes), text);
  assert.equal(formatMiB(2048), "2 GiB");
});

test("times are as exact as they are short", () => {
  const cases: [number, string][] = [
    [0, "0 ms"],
    [0.34, "0.3 ms"],
    [840.4, "840 ms"],
    [1840, "1.84 s"],
    [12_340, "12.3 s"],
    [125_000, "2m 5s"],
    [3_725_000, "1h 2m"],
  ];
  for (const [ms, text] of cases) assert.equal(formatDuration(ms), text);
});

test("ages are in the largest unit that says enough", () => {
  const now = 1_800_000_000_000;
  const cases: [number, string][] = [
    [-5, "0s"],
    [42, "42s"],
    [119, "119s"],
    [300, "5m"],
    [7_200, "2h"],
    [172_800, "2d"],
    [800 * 86_400, "2y"],
  ];
  for (const [seconds, text] of cases) assert.equal(formatAge(now - seconds * 1000, now), text);
});

test("one is singular", () => {
  assert.deepEqual(
    [plural(1, "image"), plural(0, "image"), plural(2, "process", "processes")],
    ["1 image", "0 images", "2 processes"],
  );
});

test("a table is aligned, also with wide characters, and has no spaces at line ends", async () => {
  const rows = [
    { name: "dev", count: 7, note: "" },
    { name: "名前", count: 1000, note: "x" },
    { name: "👩‍💻e\u0301", count: 12, note: "y" },
  ];
  const table = await renderTable(
    [
      { title: "NAME", cell: (row) => row.name },
      { title: "COUNT", align: "right", cell: (row) => String(row.count) },
      { title: "NOTE", cell: (row) => row.note },
    ],
    rows,
  );
  assert.equal(table, "NAME   COUNT   NOTE\ndev        7\n名前    1000   x\n👩‍💻e\u0301       12   y\n");
});

test("long lines are broken between words", () => {
  assert.deepEqual(wrapWords("one two three", 8), ["one two", "three"]);
  assert.deepEqual(wrapWords("averylongword is here", 5), ["averylongword", "is", "here"]);
  assert.deepEqual(wrapWords("as it is", Infinity), ["as it is"]);
  assert.deepEqual(wrapWords("", 5), [""]);
});

test("colour changes no alignment", async () => {
  const columns = [
    { title: "A", cell: (text: string) => ({ text, style: "green" as const }) },
    { title: "B", cell: () => "x" },
  ];
  const plain = await renderTable(columns, ["one", "longer"]);
  const coloured = await renderTable(columns, ["one", "longer"], painter(true));
  assert.notEqual(coloured, plain);
  assert.equal(stripVTControlCharacters(coloured), plain);
});

test("pairs without a value are left out", () => {
  assert.equal(
    renderPairs(
      [
        ["Name", "dev"],
        ["Ended", null],
        ["Id", "vm_1"],
      ],
      painter(false),
    ),
    "Name   dev\nId     vm_1\n",
  );
});

test("colour is for terminals without NO_COLOR", () => {
  assert.equal(wantsColour(true, {}), true);
  assert.equal(wantsColour(true, { NO_COLOR: "" }), true);
  assert.equal(wantsColour(true, { NO_COLOR: "1" }), false);
  assert.equal(wantsColour(true, { TERM: "dumb" }), false);
  assert.equal(wantsColour(false, {}), false);
});

test("control characters of others are shown, not obeyed", () => {
  assert.equal(printable("a\x1b[2Jb\u009bc\rd\ne"), "a\\x1b[2Jb\\x9bc\\x0dd e");
});

test("bars lie where their time lies and are never empty", () => {
  assert.equal(bar(0, 100, 100, 10), "██████████");
  assert.equal(bar(50, 50, 100, 10), "     █████");
  assert.equal(bar(0, 0, 100, 10), "▏");
  assert.equal(bar(100, 0, 100, 10), "         ▏");
  assert.equal(bar(0, 6.25, 100, 10), "▋");
  assert.equal(bar(0, 0, 0, 10), "");
});
