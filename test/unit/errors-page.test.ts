import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { test } from "node:test";
import { errorCatalogue } from "@workfort/contract";

test("codex/reference/errors.md has exactly the catalogue's codes, each with its status", async () => {
  const page = await fs.readFile("codex/reference/errors.md", "utf8");
  const rows = [...page.matchAll(/^\| `([a-z_]+)` +\| (\d{3}) /gm)].map(([, code, status]) => [code, Number(status)]);
  assert.deepEqual(
    rows,
    Object.entries(errorCatalogue).map(([code, { status }]) => [code, status]),
  );
});
