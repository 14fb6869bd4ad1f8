import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { errorCodes } from "@workfort/contract/errors";
import { exitCodeOf, exitCodes, exitMeanings } from "../../src/exit-codes.ts";

test("every code of the catalogue has an exit code, and no other has", () => {
  assert.deepEqual(Object.keys(exitCodeOf).toSorted(), [...errorCodes].toSorted());
  for (const code of errorCodes) assert.ok(exitCodeOf[code] > 0, code);
});

test("the reference page says the same, both ways", () => {
  const page = readFileSync(new URL("../../../../codex/reference/exit-codes.md", import.meta.url), "utf8");
  const rows = [...page.matchAll(/^\| (\d+) \| (.*?) \| (.*?) ?\|$/gm)].map(([, code, meaning, codes = ""]) => [
    Number(code),
    meaning,
    [...codes.matchAll(/`(\w+)`/g)].map(([, name]) => name).toSorted(),
  ]);
  const expected = Object.entries(exitCodes).map(([name, code]) => [
    code,
    exitMeanings[name as keyof typeof exitCodes],
    errorCodes.filter((error) => exitCodeOf[error] === code).toSorted(),
  ]);
  assert.deepEqual(rows, expected);
});
