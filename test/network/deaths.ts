import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { readDenials } from "@workfort/client/denials";
import type { Denial } from "@workfort/contract";
import { eventually, http, tcp, addresses, type Workplace } from "@workfort/testing";
import { Connection } from "./changes.ts";
import { lookUp, workerPolicy, type Proof } from "./proof.ts";

const { shared, elsewhere } = addresses.places;

async function gatewayPid({ daemon }: Workplace): Promise<number | null> {
  return (await daemon.client.call("network.status")).gatewayPid;
}

/** Parts of us die, and what does not need them goes on. */
export const deathProofs: readonly Proof[] = [
  {
    title:
      "the daemon killed and started again: connections live on, direct and proxied, and the log is followed and policies are set as before",
    prove: async ({ workplace, worker, stroller }) => {
      const { daemon } = workplace;
      const all = [
        await Connection.echo(worker, elsewhere.ipv4, 4000),
        await Connection.page(worker, shared.ipv4, "allowed.test"),
        await Connection.echo(stroller, elsewhere.ipv4, 5432),
      ];
      for (const connection of all) await connection.goesOn();
      const before = await gatewayPid(workplace);
      assert.ok(before !== null);
      const log = readDenials(daemon.client, { vm: worker.name, after: await workplace.lastDenial(), follow: true });
      const deny = async (name: string): Promise<Denial | undefined> => {
        await lookUp(worker, name);
        return (await log.next()).value as Denial | undefined;
      };
      const denied = await deny("before.test");
      assert.equal(denied?.name, "before.test");
      await daemon.die();
      await daemon.start();
      await eventually(
        () => daemon.client.call("vm.list"),
        ({ vms }) => vms.every(({ state, agent }) => state === "running" && agent === "ready"),
      );
      for (const connection of all) await connection.goesOn();
      assert.equal(await gatewayPid(workplace), before, "it is the same gateway");
      const next = await deny("after.test");
      assert.deepEqual([next?.name, (next?.number ?? 0) > denied.number], ["after.test", true], "the log goes on");
      await log.return(undefined);
      await worker.setPolicy({ mode: "none" });
      await Promise.all([all[0]?.ends(), all[1]?.ends()]);
      await all[2]?.goesOn();
      await worker.setPolicy(workerPolicy);
    },
  },
  {
    title: "the gateway killed: rules hold, direct connections go on, and it comes back by itself with all it knew",
    prove: async ({ workplace, worker, stroller }) => {
      const direct = await Connection.echo(worker, elsewhere.ipv4, 4000);
      await direct.goesOn();
      const before = await gatewayPid(workplace);
      assert.ok(before !== null);
      process.kill(before, "SIGKILL"); // the gateway of this test's own daemon
      const closed = await stroller.tries(tcp("10.9.9.9", 4000), tcp("169.254.169.254", 80));
      for (const { what } of closed) assert.notEqual(what, "connected");
      await eventually(
        () => gatewayPid(workplace),
        (pid) => pid !== null && pid !== before,
      );
      await eventually(
        () => worker.try(http(shared.ipv4, "allowed.test")),
        ({ text }) => text.startsWith("HTTP/1.1 200"),
      );
      await direct.goesOn();
      assert.equal((await lookUp(worker, "forbidden.test")).code, 3);
      assert.equal((await worker.try(http(shared.ipv4, "forbidden.test"))).text.slice(0, 12), "HTTP/1.1 403");
    },
  },
  {
    title: "network reconcile finds what is left over and removes it, and touches nothing of others",
    prove: async ({ workplace, worker }) => {
      const { daemon, internet } = workplace;
      const none = await daemon.client.call("network.reconcile");
      assert.deepEqual(none.leftovers, [], "there is nothing to find at first");
      const { bridge } = await daemon.client.call("network.status");
      const inside = await namespaceOf(worker.id);
      const tap = "tapzzzzzzzzzzzz";
      await internet.host.run(["nsenter", `--net=${inside}`, "ip", "tuntap", "add", tap, "mode", "tap"]);
      await internet.host.run(["nsenter", `--net=${inside}`, "ip", "link", "set", tap, "master", bridge]);
      const { leftovers } = await daemon.client.call("network.reconcile");
      assert.deepEqual(
        leftovers.map(({ kind, name, removed }) => [kind, name, removed]),
        [["tap", tap, true]],
      );
      const links = await internet.host.run(["nsenter", `--net=${inside}`, "ip", "-brief", "link"]);
      assert.doesNotMatch(links, new RegExp(tap));
      assert.match(links, new RegExp(worker.network.tap));
      assert.equal((await worker.try(http(shared.ipv4, "allowed.test"))).text.slice(0, 12), "HTTP/1.1 200");
    },
  },
];

/** The namespace in which a VM's VMM runs. */
export async function namespaceOf(vmId: string): Promise<string> {
  const bare = vmId.slice(vmId.indexOf("_") + 1);
  for (const pid of await fs.readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const words = (await fs.readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
    if ((words[0] ?? "").includes("qemu") && words.some((word) => word.includes(bare))) return `/proc/${pid}/ns/net`;
  }
  throw new Error(`no VMM of ${vmId} runs`);
}
