import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { TestDaemon } from "./daemon.ts";

/** what a run that has just ended may take to be cleared away, ms */
const clearingMs = 5_000;

/** Fails unless records and machine agree: no unfinished change, no disk without record or the reverse, no leftovers. */
export async function assertTidy(daemon: TestDaemon): Promise<void> {
  const deadline = performance.now() + clearingMs;
  for (;;) {
    try {
      return await assertTidyNow(daemon);
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((again) => setTimeout(again, 20));
    }
  }
}

async function assertTidyNow(daemon: TestDaemon): Promise<void> {
  const { dataDirectory, stateDirectory, runtimeDirectory } = daemon.locations;
  const database = new DatabaseSync(join(stateDirectory, "nexus.db"), { readOnly: true });
  const intents = database.prepare("SELECT kind, data FROM intents").all();
  database.close();
  const { images } = await daemon.client.call("image.list");
  const { workspaces } = await daemon.client.call("workspace.list");
  const { drives } = await daemon.client.call("drive.list");
  const { vms } = await daemon.client.call("vm.list");
  const bare = (id: string): string => id.slice(id.indexOf("_") + 1);
  const live = vms.filter((vm) => vm.running !== null).map((vm) => bare(vm.id));
  const onDisk = async (path: string): Promise<string[]> => {
    const names = await fs.readdir(path).catch((): string[] => []);
    return names.toSorted();
  };
  assert.deepEqual(
    {
      intents,
      images: await onDisk(join(dataDirectory, "images")),
      workspaces: await onDisk(join(dataDirectory, "workspaces")),
      drives: await onDisk(join(dataDirectory, "drives")),
      runs: await onDisk(join(runtimeDirectory, "vms")),
      jails: (await fs.readdir(join(dataDirectory, "jails"), { recursive: true }).catch((): string[] => [])).filter(
        (path) => path.split("/").length === 2 && !live.includes(path.split("/")[1] ?? ""),
      ),
      cgroups: (await cgroups()).filter((name) => !live.includes(name) && vms.some((vm) => bare(vm.id) === name)),
      temporary: (await fs.readdir(dataDirectory, { recursive: true })).filter((name) => name.includes(".tmp")),
      usersOfWorkspaces: workspaces.filter(
        (workspace) => workspace.vmId !== null && !vms.some((vm) => vm.id === workspace.vmId),
      ),
    },
    {
      intents: [],
      images: images.map((image) => bare(image.id)).toSorted(),
      workspaces: workspaces.map((workspace) => bare(workspace.id)).toSorted(),
      drives: drives.map((drive) => bare(drive.id)).toSorted(),
      runs: live.toSorted(),
      jails: [],
      cgroups: [],
      temporary: [],
      usersOfWorkspaces: [],
    },
  );
  const network = join(runtimeDirectory, "network"); // stays for a while without guests
  for (const line of await daemon.processes())
    assert.ok(live.some((id) => line.includes(id)) || line.includes(network), line);
}

/** Names of the control groups of VMs, of whatever daemon. */
async function cgroups(): Promise<string[]> {
  const places = await fs.readdir("/sys/fs/cgroup", { recursive: true }).catch((): string[] => []);
  return places.flatMap((path) => /(?:^|\/)workfort\/([^/]+)$/.exec(path)?.[1] ?? []);
}
