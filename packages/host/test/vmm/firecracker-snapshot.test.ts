import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import type { ClientHttp2Session } from "node:http2";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "@workfort/testing";
import { agentOver, askAgent, bootIdOf, boot, connected, faultOf } from "./firecracker-guest.ts";
import { bytesOf, noContent, withProgram, type RunningProgram } from "./firecracker-program.ts";

/** Snapshots of Firecracker's double, or of Firecracker itself (firecracker-program.ts). */
const bridged = { faults: "bridged-vsock" };
const notSaved = "Create snapshot error: Cannot save the microVM state:";
const whileRunning = "save/restore unavailable while running";

test("a guest is saved, runs on, and is loaded by another process", { timeout: 600_000 }, async () => {
  await withProgram(bridged, async (first) => {
    await boot(first);
    assert.equal(await first.ask('PUT /actions {"action_type":"InstanceStart"}'), noContent);
    const agent = agentOver(await connected(first));
    const bootId = await bootIdOf(agent);
    const create = `PUT /snapshot/create {"snapshot_path":"state","mem_file_path":"memory"}`;
    assert.equal(await faultOf(first, create), `${notSaved} Operation not allowed: ${whileRunning}`);
    await assertCutOff(agent); // that it was refused has its effect all the same
    const again = agentOver(await connected(first));
    assert.equal(await first.ask('PATCH /vm {"state":"Paused"}'), noContent);
    assert.match(await faultOf(first, create.replace("state", "no/state")), /^Create snapshot error: Cannot perform/);
    assert.equal(await first.ask(create), noContent);
    assert.equal((await fs.stat(first.path("memory"))).size, 192 * 1024 ** 2);
    assert.match(first.output, /'create full snapshot' VMM action took \d+ us\.\n/);
    assert.equal(await first.ask('PATCH /vm {"state":"Resumed"}'), noContent);
    await assertCutOff(again);
    const on = await reached(first);
    assert.equal(await bootIdOf(on), bootId);
    on.destroy();
    assert.equal(await describedVersion(first.path("state")), "v9.0.0");
    first.kill("SIGKILL");
    await first.end();

    await withProgram(bridged, async (second) => {
      await second.ready();
      assert.equal(await second.ask(loadOf(first)), noContent);
      assert.match(await second.ask("GET /"), /"state":"Paused"/);
      const config = await second.ask("GET /vm/config");
      assert.match(config, /"machine-config":{"vcpu_count":2,"mem_size_mib":192,/);
      assert.match(config, /"vsock":{"guest_cid":3,"uds_path":"vsock"}/);
      assert.equal(
        await faultOf(second, loadOf(first)),
        "The requested operation is not supported after starting the microVM.",
      );
      assert.equal(await second.ask('PATCH /vm {"state":"Resumed"}'), noContent);
      const loaded = await reached(second);
      assert.equal(await bootIdOf(loaded), bootId);
      assert.match(second.output, /'load snapshot' API request took \d+ us\.\n/);
      assert.equal(await second.ask('PATCH /vm {"state":"Paused"}'), noContent);
      assert.equal(await second.ask(create), noContent);
      second.kill("SIGKILL");
      await second.end();
      await withProgram(bridged, async (third) => {
        await third.ready();
        assert.equal(await third.ask(loadOf(second, '"resume_vm":true')), noContent);
        assert.match(await third.ask("GET /"), /"state":"Running"/);
        assert.equal(await bootIdOf(await reached(third)), bootId);
      });
    });
    await withRefusedLoads(first);
  });
});

/** The guest has no socket for the connection any more; the host is told when it sends something. */
async function assertCutOff(agent: ClientHttp2Session): Promise<void> {
  assert.equal(agent.closed, false);
  void askAgent(agent, "GET /v1/agent").catch(() => {});
  await eventually(
    () => agent.closed,
    (closed) => closed,
  );
}

/** The guest may be told of its device's reset only after the first has been connected to it. */
async function reached(running: RunningProgram): Promise<ClientHttp2Session> {
  return await eventually(
    async () => {
      const agent = agentOver(await connected(running));
      if ((await askAgent(agent, "GET /v1/agent").catch(() => "")) === "") agent.destroy();
      return agent;
    },
    (agent) => !agent.destroyed,
  );
}

function loadOf({ directory }: { directory: string }, more = '"resume_vm":false'): string {
  const backend = `{"backend_type":"File","backend_path":"${directory}/memory"}`;
  return `PUT /snapshot/load {"snapshot_path":"${directory}/state","mem_backend":${backend},${more}}`;
}

async function describedVersion(file: string): Promise<string> {
  let output = "";
  await withProgram({ args: ["--describe-snapshot", file], withoutApi: true }, async (running) => {
    assert.equal(await running.end(), 0);
    output = running.output;
  });
  return output.split("\n")[0] ?? "";
}

/** What cannot be loaded is answered, and then the process ends. */
async function withRefusedLoads({ directory }: RunningProgram): Promise<void> {
  const path = (name: string): string => join(directory, name);
  const state = await fs.readFile(path("state"));
  const flipped = Buffer.from(state);
  flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1;
  const failed = "Load snapshot error: Failed to restore from snapshot:";
  const notRead = `${failed} Failed to get snapshot state from file:`;
  const cases: { name: string; break: () => Promise<void>; more?: string; there?: string; says: string }[] = [
    {
      name: "a flipped bit",
      break: () => fs.writeFile(path("state"), flipped),
      says: `${notRead} Failed to load snapshot state from file: CRC64 validation failed`,
    },
    {
      name: "no state at all",
      break: () => fs.writeFile(path("state"), "x".repeat(4000)),
      says: `${notRead} Failed to load snapshot state from file: An error occured during bitcode serialization: bitcode error`,
    },
    {
      name: "too short",
      break: () => fs.writeFile(path("state"), "x"),
      says: `${notRead} Failed to load snapshot state from file: IO Error: File too short to contain CRC`,
    },
    {
      name: "an interface that is not there",
      break: () => fs.writeFile(path("state"), state),
      more: '"network_overrides":[{"iface_id":"x","host_dev_name":"x"}]',
      says: `${notRead} Unknown Network Device.`,
    },
    {
      name: "a vsock socket that is there",
      break: () => Promise.resolve(),
      there: "vsock",
      says: `${failed} Failed to build microVM from snapshot: Failed to restore devices: Error restoring MMIO devices: VsockUnixBackend: Error binding to the host-side Unix socket: Address in use (os error 98)`,
    },
    {
      name: "a drive that is not there",
      break: () => fs.rename(path("root.ext4"), path("other.ext4")),
      says: `${failed} Failed to build microVM from snapshot: Failed to restore devices: Error restoring MMIO devices: Block: Virtio backend error: Error manipulating the backing file: No such file or directory (os error 2) ${path("root.ext4")}`,
    },
    {
      name: "a memory file that is too short",
      break: () => fs.truncate(path("memory"), 1024),
      says: `${failed} Failed to load guest memory: Error creating guest memory from file: Failed to restore guest memory: Total sum of memory regions exceeds largest possible file offset`,
    },
    {
      name: "no memory file",
      break: () => fs.rm(path("memory")),
      says: `${failed} Failed to load guest memory: Error creating guest memory from file: Failed to load guest memory: No such file or directory (os error 2)`,
    },
  ];
  for (const { name, break: damage, more, there, says } of cases) {
    await damage();
    await withProgram(bridged, async (running) => {
      await running.ready();
      if (there !== undefined) await fs.writeFile(running.path(there), "");
      const connection = running.connect();
      const answer = await connection.send(bytesOf(loadOf({ directory }, more))).answers();
      assert.equal(/"fault_message":"(.*)"}$/.exec(answer)?.[1], says, name);
      assert.equal(await running.end(), 1, name);
    });
  }
}
