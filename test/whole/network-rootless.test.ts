import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { test } from "node:test";
import { withWorkplace } from "@workfort/testing";
import { closedProofs } from "../network/closed-places.ts";
import { namespaceOf } from "../network/deaths.ts";
import { nameProofs } from "../network/names.ts";
import { prove, workerPolicy } from "../network/proof.ts";
import { webProofs } from "../network/web-checks.ts";

test("without root, by pasta: the policy holds as it does with root", (context) =>
  withWorkplace({ way: "pasta", firewall: "docker" }, async (workplace) => {
    const { daemon, internet } = workplace;
    assert.match(await fs.readFile(`/proc/${daemon.pid}/status`, "utf8"), /^Uid:\t64322\t64322\t64322\t64322$/m);
    assert.match(await fs.readFile(`/proc/${daemon.pid}/status`, "utf8"), /^CapEff:\t0+$/m);
    const [worker, stroller] = await Promise.all([
      workplace.startVm("worker", workerPolicy),
      workplace.startVm("stroller", { mode: "open" }),
    ]);
    const vmm = await namespaceOf(worker.id);
    assert.notEqual(
      await fs.readlink(vmm),
      await fs.readlink(internet.host.path),
      "VMMs are in a namespace of their own",
    );
    assert.match(
      await fs.readFile(vmm.replace("ns/net", "status"), "utf8"),
      /^CapEff:\t0+$/m,
      "and hold no capability",
    );
    const core = [...nameProofs, ...webProofs, ...closedProofs].filter((proof) => proof.core);
    await prove(context, { workplace, worker, stroller }, core);
    assert.deepEqual(await internet.changesOfHost(), [], "not even while it works");
  }));
