import { createHash } from "node:crypto";
import { existsSync, promises as fs, readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { writeAtomically } from "../files.ts";
import { cpioOf, type CpioEntry } from "./cpio.ts";

/**
 * The initramfs of a guest (codex/reference/guest-protocol.md, Boot): the agent as `/init`, and the modules it loads.
 * It is made by the daemon from the agent it was built with, so the two always speak the same protocol.
 */
export async function ensureInitramfs(kernelDirectory: string, agentProgram: string): Promise<string> {
  // by its facts, without other threads: this is asked at each start, and its content would take as long as all else
  const { size, mtimeNs, ino } = statSync(agentProgram, { bigint: true });
  const modulesDirectory = join(kernelDirectory, "modules");
  const modules = readdirSync(modulesDirectory)
    .filter((name) => name.endsWith(".ko"))
    .toSorted();
  const digest = createHash("sha256")
    .update([size, mtimeNs, ino, ...modules].join("\0"))
    .digest("hex")
    .slice(0, 16);
  const path = join(kernelDirectory, `initramfs-${digest}.cpio`);
  if (existsSync(path)) return path;
  const entries: CpioEntry[] = [
    ...["dev", "proc", "sys", "newroot", "modules"].map((name) => ({
      kind: "directory" as const,
      path: name,
      mode: 0o755,
    })),
    { kind: "characterDevice", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
    { kind: "file", path: "init", mode: 0o755, source: agentProgram },
  ];
  for (const name of modules)
    entries.push({ kind: "file", path: `modules/${name}`, mode: 0o644, source: join(modulesDirectory, name) });
  await writeAtomically(path, cpioOf(entries), 0o644);
  await removeOthers(kernelDirectory, basename(path));
  return path;
}

/** A VMM reads its initramfs only when it starts, and keeps what it has open. */
async function removeOthers(directory: string, kept: string): Promise<void> {
  for (const name of await fs.readdir(directory)) {
    if (/^initramfs-[0-9a-f]{16}\.cpio$/.test(name) && name !== kept)
      await fs.rm(join(directory, name), { force: true });
  }
}
