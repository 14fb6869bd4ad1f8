import { promises as fs } from "node:fs";
import { basename, join } from "node:path";

/** Kernel modules a guest needs, in the order in which they are wanted: root disk and host channel first. */
const required = ["virtio_mmio", "virtio_blk", "ext4", "virtio_console"];
const useful = [
  "virtio_rng",
  "virtio_balloon",
  "virtio_net",
  "vsock",
  "vmw_vsock_virtio_transport",
  "vsock_loopback",
  "overlay",
];

export interface Module {
  name: string;
  path: string;
}

/**
 * The module files to load, dependencies before what depends on them. What is built into the kernel needs none;
 * a required one that is neither is an error.
 */
export async function selectModules(directory: string): Promise<Module[]> {
  const files = new Map<string, string>();
  for (const entry of await fs.readdir(directory, { recursive: true })) {
    if (entry.endsWith(".ko")) files.set(moduleName(entry), join(directory, entry));
    else if (/\.ko\.(xz|zst|gz)$/.test(entry))
      throw new Error(`the module ${entry} is compressed, which is not supported`);
  }
  const builtIn = new Set((await fs.readFile(join(directory, "modules.builtin"), "utf8")).split("\n").map(moduleName));
  const selected = new Map<string, Module>();
  const add = async (name: string, isRequired: boolean): Promise<void> => {
    if (selected.has(name) || builtIn.has(name)) return;
    const path = files.get(name);
    if (path === undefined) {
      if (isRequired) throw new Error(`the kernel has neither a module ${name} nor has it built in`);
      return;
    }
    for (const dependency of await dependenciesOf(path)) await add(moduleName(dependency), true);
    selected.set(name, { name, path });
  };
  for (const name of required) await add(name, true);
  for (const name of useful) await add(name, false);
  return [...selected.values()];
}

function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko.*$/, "")
    .replaceAll("-", "_");
}

/** What the module itself says in its `.modinfo` section: NUL-separated `key=value`. */
async function dependenciesOf(path: string): Promise<string[]> {
  const content = await fs.readFile(path);
  const key = Buffer.from("\0depends=");
  const at = content.indexOf(key);
  if (at < 0) return [];
  const from = at + key.length;
  return content
    .toString("latin1", from, content.indexOf(0, from))
    .split(",")
    .filter((name) => name !== "");
}
