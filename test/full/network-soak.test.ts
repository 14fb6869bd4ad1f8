import assert from "node:assert/strict";
import { test } from "node:test";
import { addresses, assertTidy, eventually, withWorkplace, type Workplace } from "@workfort/testing";

/** Fifty VMs start and die at random, the daemon is killed in between: no leak, no cross-talk. */
const vmCount = 50;
const rounds = 24;
/** VMs whose state changes at once in a round */
const width = 5;
/** most that run at a time; more are a matter of the machine's memory and of software emulation */
const mostRunning = 16;
const roundsPerDaemon = 6;

const nameOf = (index: number): string => `soak-${index}`;
const siteOf = (index: number): string => `site-${index}.test`;

/** A generator of its own, so that a failure can be repeated (the linear congruential one of Numerical Recipes). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** What a VM gets for its own name and for another's: by its own policy, however often addresses and taps were given anew. */
async function checkOwnPolicy(workplace: Workplace, index: number, other: number): Promise<void> {
  const get = (host: string): string =>
    `exec 3<>/dev/tcp/${addresses.places.shared.ipv4}/80; printf 'GET / HTTP/1.1\\r\\nHost: ${host}\\r\\nConnection: close\\r\\n\\r\\n' >&3; head -n 1 <&3`;
  const script = `(${get(siteOf(index))}); (${get(siteOf(other))}); (: </dev/tcp/${addresses.places.elsewhere.ipv4}/4000) 2>/dev/null && echo through; true`;
  const answer = await workplace.daemon.client.call("vm.exec", {
    params: { vm: nameOf(index) },
    body: { argv: ["bash", "-c", script], timeoutMs: 120_000 },
  });
  const [own = "", foreign = "", ...through] = answer.stdout.trim().split("\n");
  assert.match(own, /^HTTP\/1\.1 200/, `${nameOf(index)}: ${answer.stdout}${answer.stderr}`);
  assert.match(foreign, /^HTTP\/1\.1 403/, `${nameOf(index)} got what only ${nameOf(other)} may`);
  assert.deepEqual(through, []);
}

async function settled(workplace: Workplace): Promise<{ running: number[]; idle: number[] }> {
  const { vms } = await eventually(
    () => workplace.daemon.client.call("vm.list"),
    (list) =>
      list.vms.every(
        ({ state, agent }) =>
          state !== "starting" && state !== "stopping" && (state !== "running" || agent === "ready"),
      ),
  );
  const running = vms.filter(({ state }) => state === "running").map(({ name }) => Number(name.slice("soak-".length)));
  const idle = vms.filter(({ state }) => state !== "running").map(({ name }) => Number(name.slice("soak-".length)));
  return { running, idle };
}

test("fifty VMs starting and dying at random, the daemon killed in between: each has its own policy, and nothing is left", () =>
  withWorkplace({}, async (workplace) => {
    const seed = Number(process.env["WORKFORT_SOAK_SEED"] ?? Date.now() % 1_000_000);
    console.log(`WORKFORT_SOAK_SEED=${seed}`);
    const pick = numbers(seed);
    const { daemon, internet } = workplace;
    const { client } = daemon;
    for (let index = 0; index < vmCount; index += 1) {
      await internet.setPlace(siteOf(index), addresses.places.shared);
      const network = { policy: { allow: [siteOf(index)] } };
      await client.call("vm.create", { body: { name: nameOf(index), image: "base", memoryMiB: 128, network } });
    }
    let starts = 0;
    for (let round = 0; round < rounds; round += 1) {
      const { running, idle } = await settled(workplace);
      const steps = Array.from({ length: width }, async () => {
        if (idle.length > 0 && (running.length < 2 || (running.length < mostRunning && pick(3) > 0))) {
          const [index = 0] = idle.splice(pick(idle.length), 1);
          starts += 1;
          await client.call("vm.start", { params: { vm: nameOf(index) }, body: { timeoutMs: 300_000 } });
          await checkOwnPolicy(workplace, index, (index + 1 + pick(vmCount - 1)) % vmCount);
        } else if (running.length > 0) {
          const [index = 0] = running.splice(pick(running.length), 1);
          if (pick(2) === 0) await checkOwnPolicy(workplace, index, (index + 1 + pick(vmCount - 1)) % vmCount);
          await client.call("vm.kill", { params: { vm: nameOf(index) } });
        }
      });
      const settling = Promise.allSettled(steps); // what is refused because the daemon is gone is no failure
      if (round % roundsPerDaemon === roundsPerDaemon - 1) {
        await new Promise((later) => setTimeout(later, pick(2_000)));
        await daemon.die();
        await settling;
        await daemon.start();
      } else await Promise.all(steps);
    }
    const { running } = await settled(workplace);
    for (const index of running) await checkOwnPolicy(workplace, index, (index + 1) % vmCount);
    const networks = await Promise.all(
      Array.from({ length: vmCount }, (_, index) => client.call("vm.network.get", { params: { vm: nameOf(index) } })),
    );
    assert.equal(new Set(networks.map(({ network }) => network?.ipv4)).size, vmCount, "each has its own address");
    assert.equal(new Set(networks.map(({ network }) => network?.macAddress)).size, vmCount, "and MAC");
    assert.equal(networks.filter(({ network }) => network?.attached === true).length, running.length);
    assert.deepEqual((await client.call("network.reconcile")).leftovers, []);
    await Promise.all(running.map((index) => client.call("vm.kill", { params: { vm: nameOf(index) } })));
    for (let index = 0; index < vmCount; index += 1) await client.call("vm.delete", { params: { vm: nameOf(index) } });
    assert.equal((await client.call("network.status")).attachedCount, 0);
    const { leftovers } = await client.call("network.reconcile");
    const unneeded = new Set(["gateway", "uplink", "namespace"]); // nobody has an interface any more
    assert.deepEqual(
      leftovers.filter(({ kind }) => !unneeded.has(kind)),
      [],
      "no tap, rule, socket or process",
    );
    assert.deepEqual((await client.call("network.reconcile")).leftovers, []);
    await assertTidy(daemon);
    assert.ok(starts > 20, `${starts} starts`);
  }));
