import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { parseCount, parseDuration, parseMemory, parseSize, parseTail, parseVariable } from "../../src/parse.ts";
import { tailStart } from "../../src/tail.ts";

test("memory is MiB", () => {
  const cases: [string, number][] = [
    ["512", 512],
    ["512M", 512],
    ["512MiB", 512],
    ["512mb", 512],
    ["2G", 2048],
    ["2GiB", 2048],
    ["1.5g", 1536],
  ];
  for (const [text, mib] of cases) assert.equal(parseMemory(text), mib, text);
  for (const text of ["", "x", "-1", "0.5", "1.0001G", "512K", "1e3", "5 0", "2T"])
    assert.throws(() => parseMemory(text), SyntaxError, text);
});

test("sizes are bytes", () => {
  const cases: [string, number][] = [
    ["0", 0],
    ["1024", 1024],
    ["1k", 1024],
    ["512M", 512 * 1024 ** 2],
    ["20G", 20 * 1024 ** 3],
    ["1.5TiB", 1.5 * 1024 ** 4],
  ];
  for (const [text, bytes] of cases) assert.equal(parseSize(text), bytes, text);
  for (const text of ["", "G", "-1G", "1P", "twenty"]) assert.throws(() => parseSize(text), SyntaxError, text);
});

test("times are ms, a bare number is seconds", () => {
  const cases: [string, number][] = [
    ["30", 30_000],
    ["30s", 30_000],
    ["500ms", 500],
    ["1.5m", 90_000],
    ["2h", 7_200_000],
    ["1d", 86_400_000],
    ["0", 0],
  ];
  for (const [text, ms] of cases) assert.equal(parseDuration(text), ms, text);
  for (const text of ["", "s", "-1", "1w", "1 s", "NaN"]) assert.throws(() => parseDuration(text), SyntaxError, text);
});

test("counts and tails are whole numbers", () => {
  assert.equal(parseCount("4"), 4);
  for (const text of ["", "-1", "1.5", "1e3", "٣"]) assert.throws(() => parseCount(text), SyntaxError, text);
  assert.deepEqual([parseTail("0"), parseTail("200"), parseTail("all")], [0, 200, null]);
  assert.throws(() => parseTail("none"), SyntaxError);
});

test("a variable may hold anything behind its first =", () => {
  assert.deepEqual(parseVariable("A=b=c\nd"), ["A", "b=c\nd"]);
  assert.deepEqual(parseVariable("A="), ["A", ""]);
  for (const text of ["A", "=b", ""]) assert.throws(() => parseVariable(text), SyntaxError, text);
});

test("the last lines of a text are those that tail gives", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("", "a", "bb")), fc.boolean(), fc.nat(6), (lines, closed, count) => {
      const text = lines.join("\n") + (closed && lines.length > 0 ? "\n" : "");
      const start = tailStart(Buffer.from(text), count);
      const all = text === "" ? [] : text.replace(/\n$/, "").split("\n");
      const expected =
        count === 0 ? "" : all.slice(-count).join("\n") + (text.endsWith("\n") && all.length > 0 ? "\n" : "");
      assert.equal(text.slice(start), expected);
    }),
  );
  assert.equal(tailStart(Buffer.from("a\nb\n"), null), 0);
});
