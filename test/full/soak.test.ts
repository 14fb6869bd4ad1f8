import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { test } from "node:test";
import { assertTidy, eventually, withDaemon, type TestDaemon } from "@workfort/testing";

/** Many lives of several VMs in random order, the daemon killed in between: nothing is lost, nothing is left. */
const rounds = 60;
const names = ["a", "b", "c"];

/** A generator of its own, so that a failure can be repeated (the linear congruential one of Numerical Recipes). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

type Step = (daemon: TestDaemon, vm: string) => Promise<unknown>;
const steps: Record<string, Step> = {
  create: (daemon, name) => daemon.client.call("vm.create", { body: { name, image: "base", memoryMiB: 256 } }),
  start: (daemon, vm) => daemon.client.call("vm.start", { params: { vm }, body: {} }),
  "start without waiting": (daemon, vm) =>
    daemon.client.call("vm.start", { params: { vm }, body: { waitForAgent: false } }),
  exec: (daemon, vm) => daemon.client.call("vm.exec", { params: { vm }, body: { argv: ["sync"] } }),
  stop: (daemon, vm) => daemon.client.call("vm.stop", { params: { vm }, body: {} }),
  kill: (daemon, vm) => daemon.client.call("vm.kill", { params: { vm } }),
  delete: (daemon, vm) => daemon.client.call("vm.delete", { params: { vm } }),
};
/** what a step may be refused with when VMs are in any state */
const expected = new Set([
  "not_found",
  "name_taken",
  "wrong_state",
  "in_use",
  "agent_unreachable",
  "agent_failed",
  "vmm_failed",
]);

test("random lives, with the daemon killed now and then", async () => {
  const seed = Number(process.env["WORKFORT_SEED"] ?? Date.now() % 2 ** 31);
  const random = numbers(seed);
  await withDaemon({}, async (daemon) => {
    await daemon.importBase();
    const done: string[] = [];
    const openFiles = async (): Promise<number> => (await fs.readdir(`/proc/${daemon.pid}/fd`)).length;
    let atRest = 0;
    for (let round = 0; round < rounds; round += 1) {
      const chosen = Array.from({ length: 1 + random(3) }, () => ({
        vm: names[random(names.length)] ?? "a",
        step: Object.keys(steps)[random(Object.keys(steps).length)] ?? "create",
      }));
      const dies = random(8) === 0;
      done.push(`${chosen.map(({ vm, step }) => `${step} ${vm}`).join(" + ")}${dies ? " + kill -9" : ""}`);
      const running = Promise.allSettled(chosen.map(async ({ vm, step }) => await steps[step]?.(daemon, vm)));
      if (dies) {
        await daemon.die();
        await running;
        await daemon.start();
      } else {
        for (const outcome of await running)
          if (outcome.status === "rejected") {
            const { code, message } = outcome.reason as { code?: string; message: string };
            assert.ok(expected.has(code ?? ""), `seed ${seed}, ${done.join("; ")}: ${code} ${message}`);
          }
      }
      for (const { name, state } of (await daemon.client.call("vm.list")).vms)
        assert.ok(names.includes(name) && state !== "starting" && state !== "stopping", `${name} is ${state}`);
      if (round === 5) atRest = await openFiles();
    }
    for (const name of names) {
      await daemon.client.call("vm.kill", { params: { vm: name } }).catch(() => {});
      await daemon.client.call("vm.delete", { params: { vm: name } }).catch(() => {});
    }
    await assertTidy(daemon);
    await eventually(openFiles, (count) => count <= atRest + names.length * 4);
  });
});
