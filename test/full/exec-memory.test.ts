import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkout, eventually, withDaemon, type TestDaemon } from "@workfort/testing";

/** `nexusctl vm exec … > /dev/null` of that many MiB; gives the daemon's largest resident memory meanwhile, in bytes. */
async function peakDuring(daemon: TestDaemon, mebibytes: number): Promise<number> {
  const words = ["vm", "exec", "dev", "--", "dd", "if=/dev/zero", "bs=1M", `count=${mebibytes}`, "status=none"];
  const child = spawn(join(checkout, "bin/nexusctl"), words, {
    env: daemon.env,
    stdio: ["ignore", "ignore", "inherit"],
  });
  const exit = once(child, "exit").then(([code]) => (ended = code as number));
  let ended: number | null = null;
  let peak = 0;
  await eventually(
    () => {
      const status = readFileSync(`/proc/${daemon.pid}/status`, "utf8");
      peak = Math.max(peak, Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024);
      return ended;
    },
    (code) => code !== null,
    1_200_000, // software emulation beside other work is slow
  );
  await exit;
  assert.equal(ended, 0);
  return peak;
}

test("two gigabytes of output pass through a daemon that does not grow with them", () =>
  withDaemon({}, async (daemon) => {
    await daemon.importBase();
    await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
    await daemon.client.call("vm.start", { params: { vm: "dev" }, body: {} });
    const few = await peakDuring(daemon, 64);
    const many = await peakDuring(daemon, 2048);
    assert.ok(many < 2 * few, `${few} and ${many}`);
  }));
