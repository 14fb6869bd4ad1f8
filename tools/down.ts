import { promises as fs } from "node:fs";
import { join } from "node:path";
import { createClient, DaemonUnreachable, type Client } from "@workfort/client";
import type { Locations } from "@workfort/contract/locations";
import { pathsOf } from "@workfort/host/paths.ts";
import { runTool } from "@workfort/host/process/run.ts";
import { unmountStore } from "@workfort/host/storage/loop-store.ts";
import { findMount, loopFileOf } from "@workfort/host/storage/mounts.ts";
import { claimInstance } from "./instance.ts";
import { runScript, step, Stop } from "./steps.ts";
import { hasUserSystemd, unitName } from "./systemd.ts";

/** `npm run down`: ends what runs and leaves what is stored. */
const endBoundMs = 15_000;

await runScript(async () => {
  const locations = await claimInstance();
  const client = createClient({ socket: locations.socket });
  const status = await client.call("system.status").catch((error: unknown) => {
    if (error instanceof DaemonUnreachable) return null;
    throw error;
  });
  if (status === null) console.log("nexusd does not run");
  else {
    await step("Stopping VMs", (tell) => stopVms(client, tell));
    await step("Stopping nexusd", () => stopDaemon(status.pid, locations));
  }
  client.close();
  await step("Unmounting the store", (tell) => unmount(locations, tell));
  await tellWhatStays(locations);
});

async function stopVms(client: Client, tell: (text: string) => void): Promise<void> {
  const { vms } = await client.call("vm.list");
  const live = vms.filter((vm) => vm.running !== null);
  await Promise.all(
    live.map(async (vm) => {
      const stopped = await client.call("vm.stop", { params: { vm: vm.id }, body: {} });
      tell(`${vm.name}: ${stopped.state} (${stopped.stateReason})`);
    }),
  );
  if (live.length === 0) tell("none runs");
}

async function stopDaemon(pid: number, locations: Locations): Promise<void> {
  if (
    (await hasUserSystemd()) &&
    (
      await runTool(["systemctl", "--user", "is-active", "--quiet", unitName(locations.instance)], {
        okCodes: [0, 3, 4],
      })
    ).exitCode === 0
  ) {
    await runTool(["systemctl", "--user", "stop", unitName(locations.instance)]);
    return;
  }
  process.kill(pid, "SIGTERM"); // the daemon itself has just told its pid
  const deadline = performance.now() + endBoundMs;
  while (await exists(`/proc/${pid}`)) {
    if (performance.now() > deadline)
      throw new Stop(
        `nexusd (pid ${pid}) has not ended within ${endBoundMs / 1000} s`,
        `kill -9 ${pid}   (no VM is lost by that)`,
      );
    await new Promise((again) => setTimeout(again, 20));
  }
  await fs.rm(pathsOf(locations).pidFile, { force: true });
}

async function unmount(locations: Locations, tell: (text: string) => void): Promise<void> {
  const mounted = await findMount(locations.dataDirectory);
  if (mounted === null || (await loopFileOf(mounted.source)) === null) tell("nothing of ours is mounted");
  else if (process.getuid?.() !== 0) tell(`stays mounted; to unmount it: sudo umount ${locations.dataDirectory}`);
  else {
    await unmountStore(locations.dataDirectory);
    tell(`unmounted ${locations.dataDirectory}`);
  }
}

async function tellWhatStays(locations: Locations): Promise<void> {
  const paths = pathsOf(locations);
  const stays: [string, string][] = [
    ["disks", (await exists(paths.loopFile)) ? paths.loopFile : locations.dataDirectory],
    ["records and log", locations.stateDirectory],
    ["downloads", locations.cacheDirectory],
    ["configuration", locations.configFile],
  ];
  console.log("\nWhat stays:");
  for (const [what, path] of stays) if (await exists(path)) console.log(`  ${what.padEnd(16)} ${path}`);
  console.log(
    `\nTo go on: npm run up\nTo remove it all: rm -rf ${[locations.dataDirectory, paths.loopFile, locations.stateDirectory, locations.cacheDirectory, join(locations.configFile, "..")].join(" ")}\n  and the line for ${locations.dataDirectory} in /etc/fstab`,
  );
}

async function exists(path: string): Promise<boolean> {
  return await fs.access(path).then(
    () => true,
    () => false,
  );
}
