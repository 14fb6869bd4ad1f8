import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { watchEvents } from "@workfort/client";
import type { NetworkPolicy, NetworkStatus, PolicyInForce, Vm, VmMetrics } from "@workfort/contract";
import { withDaemon } from "@workfort/testing";
import { inProcess } from "../helpers/in-process.ts";

/** Policies and services by nexusctl, on records alone: what they do to a guest is proven elsewhere. */
test("a day of policies with nexusctl", async (context) => {
  await withDaemon({}, async (daemon) => {
    const cli = (...words: string[]): ReturnType<typeof inProcess> => inProcess(daemon.env, ...words);
    const ok = async (...words: string[]): Promise<string> => {
      const { code, stdout, stderr } = await cli(...words);
      assert.equal(code, 0, `${words.join(" ")}: ${stderr}`);
      return stdout;
    };
    const json = async <T>(...words: string[]): Promise<T> => JSON.parse(await ok(...words, "--json")) as T;
    const step = async (name: string, work: () => Promise<void>): Promise<void> => {
      await context.test(name, work);
    };
    await daemon.importBase();

    await step("a VM is created with a policy, with entries, or without an interface", async () => {
      await ok("vm", "create", "plain");
      await ok("vm", "create", "none", "--policy", "none");
      await ok("vm", "create", "listed", "--preset", "npm", "--allow", "a.test");
      await ok("vm", "create", "alone", "--no-network");
      const vms = await Promise.all(["plain", "none", "listed", "alone"].map((name) => json<Vm>("vm", "get", name)));
      assert.deepEqual(
        vms.map(({ network }) => network && [network.ipv4, network.policyMode, network.policySource, network.attached]),
        [
          ["10.213.0.2", "open", "default", false],
          ["10.213.0.3", "none", "vm", false],
          ["10.213.0.4", "allow", "vm", false],
          null,
        ],
      );
      assert.match(await ok("vm", "get", "alone"), /^Network +none$/m);
      assert.match(await ok("vm", "network", "listed"), /^Address +10\.213\.0\.4, [^]*^Allow +preset:npm\n +a\.test$/m);
      assert.equal(await ok("vm", "network", "alone"), "it was created without a network interface\n");
      assert.equal((await cli("vm", "create", "x", "--no-network", "--policy", "none")).code, 2);
      assert.equal((await cli("vm", "create", "x", "--policy", "open", "--allow", "a.test")).code, 2);
      assert.equal((await cli("vm", "create", "x", "--allow", "a test")).code, 2);
      assert.equal((await cli("vm", "create", "x", "--preset", "nothing")).code, 2);
    });

    await step("an address is kept, and that of a deleted VM comes last", async () => {
      await ok("vm", "delete", "none", "--yes");
      const again = await json<Vm>("vm", "create", "again");
      assert.equal(again.network?.ipv4, "10.213.0.5");
      await daemon.stop();
      await daemon.start();
      assert.equal((await json<Vm>("vm", "get", "listed")).network?.ipv4, "10.213.0.4");
    });

    await step("policies are set, edited and cleared, and told", async () => {
      const types = ["network.policy_changed", "service.created", "service.deleted"] as const;
      const watched = Promise.withResolvers<void>();
      const watching = watchEvents(daemon.client, { types: [...types], onOpen: watched.resolve });
      const told = (async (): Promise<string[]> => {
        const seen: string[] = [];
        for await (const event of watching) {
          if (event.type === "network.policy_changed") seen.push(`${event.vmName} ${event.mode} ${event.source}`);
          else seen.push(event.type);
          if (seen.at(-1) === "service.deleted") return seen;
        }
        return seen;
      })();
      await watched.promise;
      const list = join(daemon.directory, "list");
      await writeFile(list, "# what is needed\nb.test   # and why\n\n*.c.test:22\n");
      const set = await json<PolicyInForce>("network", "policy", "set", "plain", "--allow-file", list, "--refuse-ech");
      assert.deepEqual([set.source, set.policy.mode, set.policy.allow], ["vm", "allow", ["b.test", "*.c.test:22"]]);
      assert.equal(set.policy.encryptedClientHello, "refuse");
      await ok("network", "policy", "allow", "plain", "203.0.113.7:5432", "b.test");
      await ok("network", "policy", "deny", "plain", "b.test");
      const found = await json<PolicyInForce>("network", "policy", "get", "plain");
      assert.deepEqual(found.policy.allow, ["*.c.test:22", "203.0.113.7:5432"]);
      assert.deepEqual((await json<PolicyInForce>("network", "policy", "clear", "plain")).source, "default");
      const limits = ["--mode", "open", "--send-limit", "10MB", "--receive-limit", "512K"];
      const policy = await json<NetworkPolicy>("network", "policy", "set", ...limits);
      assert.deepEqual([policy.sendBytesPerSecond, policy.receiveBytesPerSecond], [10 * 1024 ** 2, 512 * 1024]);
      assert.match(
        await ok("network", "policy", "get"),
        /^Limits +sends at most 10 MiB\/s, receives at most 512 KiB\/s$/m,
      );

      const target = ["--port", "8080", "--target", "127.0.0.1:11434"];
      assert.equal(
        await ok("network", "service", "create", "models", ...target),
        "models created: models.workfort.internal:8080 in guests\n",
      );
      await ok("network", "policy", "set", "plain", "--mode", "none", "--service", "models");
      assert.match(
        await ok("network", "service", "ls"),
        /^models +models\.workfort\.internal:8080 +127\.0\.0\.1:11434/m,
      );
      await ok("network", "service", "rm", "models");
      assert.deepEqual((await json<PolicyInForce>("network", "policy", "get", "plain")).policy.services, []);
      assert.deepEqual(await told, [
        "plain allow vm",
        "plain allow vm",
        "plain allow vm",
        "plain open default",
        "null open default",
        "service.created",
        "plain none vm",
        "plain none vm",
        "service.deleted",
      ]);
    });

    await step("refusals have their exit codes", async () => {
      const cases: [code: number, words: string[]][] = [
        [2, ["network", "policy", "set", "plain"]],
        [2, ["network", "policy", "set", "plain", "--mode", "none", "--allow", "a.test"]],
        [2, ["network", "policy", "set", "plain", "--allow-file", "/nonexistent"]],
        [2, ["network", "policy", "set", "plain", "--send-limit", "1"]],
        [2, ["network", "policy", "get", "alone"]],
        [2, ["network", "policy", "allow", "plain"]],
        [4, ["network", "policy", "set", "plain", "--service", "none"]],
        [4, ["network", "policy", "deny", "plain", "a.test"]],
        [4, ["network", "policy", "get", "nobody"]],
        [4, ["network", "log", "--vm", "nobody"]],
        [4, ["network", "service", "delete", "none"]],
        [5, ["network", "policy", "set", "alone", "--mode", "none"]],
        [5, ["network", "policy", "allow", "again", "a.test"]],
        [5, ["network", "service", "create", "dns", "--port", "53", "--target", "127.0.0.1:53"]],
      ];
      for (const [code, words] of cases) {
        const ended = await cli(...words);
        assert.equal(ended.code, code, `${words.join(" ")}: ${ended.stderr}`);
      }
    });

    await step("a network that is off is no trouble to anybody", async () => {
      const status = await json<NetworkStatus>("network", "status");
      assert.deepEqual([status.mode, status.usable, status.attachedCount], ["off", false, 0]);
      assert.match(await ok("status"), /^Network +off$/m);
      assert.equal(await ok("network", "log"), "");
      assert.equal(await ok("network", "reconcile"), "everything is as it should be\n");
      assert.equal(await ok("network", "reset"), "there was nothing of it\n");
      assert.match(await ok("network", "presets"), /^npm +registry\.npmjs\.org$/m);
      const { warnings } = await json<Vm>("vm", "start", "plain");
      assert.deepEqual(warnings, []);
      assert.equal((await json<VmMetrics>("vm", "metrics", "plain")).network, null);
    });
  });
});
