import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { errorCodes } from "@workfort/contract/errors";
import { exitCodeOf, exitCodes, exitMeanings } from "../../src/exit-codes.ts";

test("every code of the catalogue has an exit code, and no other has", () => {
  assert.deepEqual(Object.keys(exitCodeOf).toSorted(byText), [...errorCodes].toSorted(byText));
  for (const code of errorCodes) assert.ok(exitCodeOf[code] > 0, code);
});

test("the reference page says the same, both ways", () => {
  const page = readFileSync(new URL("../../../../codex/reference/exit-codes.md", import.meta.url), "utf8");
  const rows = page
    .split("\n")
    .filter((line) => /^\| *\d/.test(line))
    .map((line) => line.split("|").map((cell) => cell.trim()))
    .map(([, code, meaning, codes = ""]) => [
      Number(code),
      meaning,
      Array.from(codes.matchAll(/`(\w+)`/g), ([, name]) => name ?? "").toSorted(byText),
    ]);
  const expected = Object.entries(exitCodes).map(([name, code]) => [
    code,
    exitMeanings[name as keyof typeof exitCodes],
    errorCodes.filter((error) => exitCodeOf[error] === code).toSorted(byText),
  ]);
  assert.deepEqual(rows, expected);
});

function byText(a: string, b: string): number {
  return a < b ? -1 : 1;
}
