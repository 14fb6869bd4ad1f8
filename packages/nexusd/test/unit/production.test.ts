import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { Check } from "@workfort/contract";
import { checkProduction } from "../../src/doctor/production.ts";

const limits = (files: string, processes: string): string =>
  [
    "Limit                     Soft Limit           Hard Limit           Units     ",
    `Max processes             96365                ${processes.padEnd(20)} processes `,
    `Max open files            1024                 ${files.padEnd(20)} files     `,
  ].join("\n");
const swapHead = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";

/** What is found on a host with these files below `/`. */
async function examine(files: Record<string, string>): Promise<Record<string, Check>> {
  const root = await fs.mkdtemp(join(tmpdir(), "workfort-host-"));
  try {
    for (const [path, text] of Object.entries(files)) {
      await fs.mkdir(dirname(join(root, path)), { recursive: true });
      await fs.writeFile(join(root, path), `${text}\n`);
    }
    return Object.fromEntries((await checkProduction(root)).map((check) => [check.name, check]));
  } finally {
    await fs.rm(root, { recursive: true });
  }
}

const statesOf = (checks: Record<string, Check>): Record<string, string> =>
  Object.fromEntries(Object.entries(checks).map(([name, { state }]) => [name, state]));

test("a hardened host has nothing to mend", async () => {
  const checks = await examine({
    "sys/devices/system/cpu/smt/control": "off",
    "sys/kernel/mm/ksm/run": "0",
    "proc/swaps": `${swapHead}/dev/zram0\tpartition\t1\t0\t100`,
    "sys/devices/system/cpu/vulnerabilities/meltdown": "Mitigation: PTI",
    "sys/devices/system/cpu/vulnerabilities/mds": "Not affected",
    "proc/self/limits": limits("524288", "unlimited"),
  });
  assert.deepEqual(statesOf(checks), {
    SMT: "ok",
    KSM: "ok",
    swap: "ok",
    processor: "ok",
    "open files": "ok",
    processes: "ok",
  });
});

test("what lets VMs see each other or their secrets reach a disk is told, with whom it matters to and what mends it", async () => {
  const checks = await examine({
    "sys/devices/system/cpu/smt/control": "on",
    "sys/kernel/mm/ksm/run": "1",
    "proc/swaps": `${swapHead}/dev/sda2\tpartition\t1\t0\t-2\n/swapfile\tfile\t1\t0\t-3`,
    "sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow": "Vulnerable: Safe RET, no microcode",
    "sys/devices/system/cpu/vulnerabilities/mds": "Mitigation: Clear CPU buffers; SMT vulnerable",
    "proc/self/limits": limits("1024", "500"),
  });
  for (const { name, state, fix, detail } of Object.values(checks)) {
    assert.equal(state, "warning", name);
    assert.ok(fix !== null && fix !== "", name);
    assert.ok(detail.length > 20, name);
  }
  assert.match(checks["SMT"]?.detail ?? "", /do not trust one another/);
  assert.match(checks["swap"]?.detail ?? "", /^\/dev\/sda2, \/swapfile: /);
  assert.match(checks["processor"]?.detail ?? "", /^not mitigated: spec_rstack_overflow; /);
  assert.match(checks["open files"]?.detail ?? "", /^1024 allowed/);
});

test("a kernel that tells nothing is no reason for alarm", async () => {
  for (const [name, state] of Object.entries(statesOf(await examine({})))) assert.equal(state, "ok", name);
});

test("of this host something is found out", async () => {
  const names = (await checkProduction()).map((check) => check.name);
  assert.deepEqual(names, ["SMT", "KSM", "swap", "processor", "open files", "processes"]);
});
