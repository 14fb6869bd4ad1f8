import assert from "node:assert/strict";
import { test } from "node:test";
import { withWorkplace, type WorkplaceOptions } from "@workfort/testing";
import { changeProofs } from "../network/changes.ts";
import { closedProofs } from "../network/closed-places.ts";
import { deathProofs } from "../network/deaths.ts";
import { limitProofs } from "../network/limits.ts";
import { nameProofs } from "../network/names.ts";
import { neighbourProofs } from "../network/neighbours.ts";
import { prove, workerPolicy, type Proof } from "../network/proof.ts";
import { webProofs } from "../network/web-checks.ts";

const all = [nameProofs, webProofs, closedProofs, neighbourProofs, changeProofs, limitProofs, deathProofs].flat();

const ways: readonly (WorkplaceOptions & { title: string; proofs: readonly Proof[] })[] = [
  { title: "as root, what bounds a guest, and what dies", proofs: [...limitProofs, ...deathProofs] },
  {
    title: "as root, beside Docker, whose rules drop what is forwarded",
    firewall: "docker",
    proofs: [...webProofs, ...closedProofs],
  },
  { title: "without root, by pasta", way: "pasta", firewall: "docker", proofs: all },
  { title: "without root, by the helper that root has installed", way: "helper", proofs: all },
];

for (const { title, proofs, ...options } of ways)
  test(title, (context) =>
    withWorkplace(options, async (workplace) => {
      const [worker, stroller] = await Promise.all([
        workplace.startVm("worker", workerPolicy),
        workplace.startVm("stroller", { mode: "open" }),
      ]);
      await prove(context, { workplace, worker, stroller }, proofs);
      const { client } = workplace.daemon;
      for (const { name } of [worker, stroller]) await client.call("vm.kill", { params: { vm: name } });
      await client.call("network.reset");
      assert.deepEqual(await workplace.internet.changesOfHost(), []);
    }),
  );
