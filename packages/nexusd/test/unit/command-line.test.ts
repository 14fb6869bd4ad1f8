import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

function nexusd(...argv: string[]): { code: number | null; stdout: string; stderr: string } {
  // a configuration that is not there: whatever goes on to serve says so instead
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, "--config", "/nonexistent", ...argv], {
    encoding: "utf8",
  });
  return { code: status, stdout, stderr };
}

test("help is asked for by either name, and nothing is served", () => {
  for (const option of ["-h", "--help"]) {
    const { code, stdout } = nexusd(option);
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: nexusd /);
  }
});

test("an option that there is not is told, with code 2", () => {
  const { code, stderr } = nexusd("--hepl");
  assert.equal(code, 2);
  assert.match(stderr, /there is no option --hepl/);
});
