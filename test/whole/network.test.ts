import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { test } from "node:test";
import { withWorkplace } from "@workfort/testing";
import { changeProofs } from "../network/changes.ts";
import { closedProofs } from "../network/closed-places.ts";
import { namespaceOf } from "../network/deaths.ts";
import { nameProofs } from "../network/names.ts";
import { neighbourProofs } from "../network/neighbours.ts";
import { prove, workerPolicy } from "../network/proof.ts";
import { webProofs } from "../network/web-checks.ts";

test("the network of guests, from inside two of them: every yes and every no", (context) =>
  withWorkplace({ firewall: "plain" }, async (workplace) => {
    const [worker, stroller] = await Promise.all([
      workplace.startVm("worker", workerPolicy),
      workplace.startVm("stroller", { mode: "open" }),
    ]);
    const stage = { workplace, worker, stroller };
    const vmm = await fs.readFile((await namespaceOf(worker.id)).replace("ns/net", "status"), "utf8");
    assert.deepEqual(
      vmm.match(/^Uid:\t0|^Cap(?:Prm|Eff|Bnd):\t0+$/gm)?.length,
      4,
      "a VMM of root's holds no capability",
    );
    const proofs = [nameProofs, webProofs, closedProofs, neighbourProofs, changeProofs];
    await prove(context, stage, proofs.flat());

    await context.test("network reset leaves no trace of us on the host", async () => {
      const { client } = workplace.daemon;
      await assert.rejects(client.call("network.reset"), { code: "in_use" }, "VMs have interfaces");
      for (const { name } of [worker, stroller]) await client.call("vm.kill", { params: { vm: name } });
      await client.call("network.reset");
      assert.deepEqual(await workplace.internet.changesOfHost(), []);
    });
  }));
