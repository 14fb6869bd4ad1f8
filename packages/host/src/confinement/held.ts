import { promises as fs, writeFileSync } from "node:fs";
import * as z from "zod";
import { readTextIfThere } from "../files.ts";
import { runPaths } from "../paths.ts";
import { endCgroup, ranOutOfMemory } from "./cgroup.ts";
import { Group } from "./group.ts";
import { endService, serviceRanOutOfMemory } from "./systemd.ts";

/**
 * What a run is held by, written down in its directory before any of it is made, so that whoever finds the directory
 * can end and remove it all.
 */
const Held = z.object({
  group: Group,
  /** directory of the file system that its VMM sees */
  jail: z.string().nullable(),
});
type Held = z.infer<typeof Held>;

export function writeHeld(directory: string, held: Held): void {
  writeFileSync(runPaths(directory).held, JSON.stringify(held), { mode: 0o600 });
}

/** Null where a start died before it held anything. */
export async function readHeld(directory: string): Promise<Held | null> {
  const text = await readTextIfThere(runPaths(directory).held);
  if (text === null || text === "") return null;
  return Held.parse(JSON.parse(text));
}

/** Ends what is left of a run's processes, and removes everything of it. May be repeated. */
export async function removeRun(directory: string): Promise<void> {
  const held = await readHeld(directory);
  if (held !== null) {
    const { group, jail } = held;
    if (group.kind === "systemd") await endService(group.manager, group.unit);
    if (group.kind === "cgroup") await endCgroup(group.directories);
    if (jail !== null) await fs.rm(jail, { recursive: true, force: true });
  }
  await fs.rm(directory, { recursive: true, force: true });
}

/** Whether the kernel ended a process of the run because all of them together wanted too much memory. */
export async function runRanOutOfMemory(directory: string): Promise<boolean> {
  const group = (await readHeld(directory))?.group;
  if (group?.kind === "systemd") return await serviceRanOutOfMemory(group.manager, group.unit);
  if (group?.kind !== "cgroup") return false;
  for (const place of group.directories) if (await ranOutOfMemory(place)) return true;
  return false;
}
