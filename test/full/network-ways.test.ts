import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { Check } from "@workfort/contract";
import { runTool } from "@workfort/host/process/run.ts";
import { addresses, checkout, tcp, withWorkplace, type Workplace, type WorkplaceOptions } from "@workfort/testing";
import { changeProofs } from "../network/changes.ts";
import { closedProofs } from "../network/closed-places.ts";
import { deathProofs } from "../network/deaths.ts";
import { limitProofs } from "../network/limits.ts";
import { nameProofs } from "../network/names.ts";
import { neighbourProofs } from "../network/neighbours.ts";
import { prove, workerPolicy, type Proof, type Stage } from "../network/proof.ts";
import { webProofs } from "../network/web-checks.ts";

const all = [nameProofs, webProofs, closedProofs, neighbourProofs, changeProofs, limitProofs, deathProofs].flat();

const ways: readonly (WorkplaceOptions & { title: string; proofs: readonly Proof[] })[] = [
  { title: "as root, what bounds a guest, and what dies", proofs: [...limitProofs, ...deathProofs] },
  { title: "without root, by pasta", way: "pasta", firewall: "docker", proofs: all },
  { title: "without root, by the helper that root has installed", way: "helper", proofs: all },
];

for (const { title, proofs, ...options } of ways)
  test(title, (context) =>
    withWorkplace(options, async (workplace) => {
      await prove(context, await startBoth(workplace), proofs);
      await leavesNoTrace(workplace);
    }),
  );

test("as root, beside Docker: nothing is let out, until what doctor says is typed", (context) =>
  withWorkplace({ firewall: "docker" }, async (workplace) => {
    const { daemon, internet } = workplace;
    const stage = await startBoth(workplace);
    const { elsewhere } = addresses.places;
    const outward = [tcp(elsewhere.ipv4, 5432), tcp(elsewhere.ipv6, 5432)];
    for (const { what } of await stage.stroller.tries(...outward)) assert.notEqual(what, "connected");

    const words = [...internet.host.enter, join(checkout, "bin/nexusctl"), "doctor", "--json"] as const;
    const { stdout } = await runTool(words, { env: daemon.env, okCodes: [0, 1], timeoutMs: 60_000 });
    const { checks } = JSON.parse(stdout) as { checks: Check[] };
    const fix = checks.find(({ name }) => name === "Docker")?.fix?.replaceAll("sudo ", "");
    assert.ok(fix !== undefined, stdout);
    await internet.host.run(["sh", "-ec", fix]);
    await prove(context, stage, [...webProofs, ...closedProofs]);
    await internet.host.run(["sh", "-ec", fix.replaceAll("-I DOCKER-USER", "-D DOCKER-USER")]);
    await leavesNoTrace(workplace);
  }));

async function startBoth(workplace: Workplace): Promise<Stage> {
  const [worker, stroller] = await Promise.all([
    workplace.startVm("worker", workerPolicy),
    workplace.startVm("stroller", { mode: "open" }),
  ]);
  return { workplace, worker, stroller };
}

async function leavesNoTrace({ daemon, internet }: Workplace): Promise<void> {
  for (const vm of ["worker", "stroller"]) await daemon.client.call("vm.kill", { params: { vm } });
  await daemon.client.call("network.reset");
  assert.deepEqual(await internet.changesOfHost(), []);
}
