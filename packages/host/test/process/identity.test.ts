import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { parseStartTime, readStartTime, sameProcess } from "../../src/process/identity.ts";

test("finds the start time whatever the name holds", () => {
  const fields = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654 20 21\n";
  for (const name of ["qemu", ") S 1 2 (", "a b", "\xff"])
    assert.equal(parseStartTime(`42 (${name}) ${fields}`), 987_654);
  for (const bad of ["", "42 (qemu", "42 (qemu) S 1 2"]) assert.equal(parseStartTime(bad), null);
});

test("knows a process by pid and start time", async (t) => {
  const child = spawn("sleep", ["60"]);
  t.after(() => child.kill("SIGKILL"));
  await once(child, "spawn");
  const pid = child.pid!;
  const startTime = await readStartTime(pid);
  assert.ok(startTime !== null && startTime > 0);
  assert.equal(await sameProcess(pid, startTime), true);
  assert.equal(await sameProcess(pid, startTime + 1), false);
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.equal(await readStartTime(pid), null);
  assert.equal(await sameProcess(pid, startTime), false);
});
