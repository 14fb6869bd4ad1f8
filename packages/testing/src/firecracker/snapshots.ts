import { promises as fs } from "node:fs";
import * as bodies from "./bodies.ts";
import type { Call } from "./calls.ts";
import { JsonError } from "./json-reader.ts";
import { Fatal, Refusal, systemWords } from "./refusal.ts";
import type { Surroundings } from "./routes.ts";
import { readBody, refusedJson } from "./shapes.ts";
import {
  decodeSnapshot,
  encodeSnapshot,
  SnapshotFileError,
  type SavedConfiguration,
  type SavedVm,
} from "./snapshot-file.ts";
import type { Vm } from "./vm.ts";

/** Snapshots, whole ones only, with their memory in a file. */
export function createSnapshot(body: Buffer): Call {
  const { snapshot_type: type, snapshot_path: path, mem_file_path: memoryPath } = readBody(body, bodies.snapshotCreate);
  const refuse = (why: string): Refusal => new Refusal(`Create snapshot error: ${why}`);
  return {
    phase: "after",
    timed: `create ${type.toLowerCase()} snapshot`,
    run: async (vm) => {
      const saved = await vm.save();
      if (type === "Diff") throw refuse("diff snapshots: not supported by this double");
      await fs.writeFile(path, encodeSnapshot(saved)).catch((error: unknown) => {
        throw refuse(`Cannot perform open on the snapshot backing file: ${systemWords(error)}`);
      });
      await vm.saveMemory(memoryPath).catch((error: NodeJS.ErrnoException) => {
        throw refuse(
          error.syscall === "open"
            ? `Cannot perform open on the memory backing file: ${systemWords(error)}`
            : `Cannot write memory file: Cannot dump memory: Guest memory error: ${systemWords(error)}`,
        );
      });
    },
  };
}

export function loadSnapshot(body: Buffer, around: Pick<Surroundings, "setPaused">): Call {
  const load = readBody(body, bodies.snapshotLoad);
  const { mem_backend, mem_file_path } = load;
  const either = "either `mem_backend` or `mem_file_path`";
  if (mem_backend === null && mem_file_path === null)
    throw refusedJson(new JsonError(`missing field: ${either} is required`, 0, 0));
  if (mem_backend !== null && mem_file_path !== null)
    throw refusedJson(new JsonError(`too many fields: ${either} exclusively is required`, 0, 0));
  const memory = mem_backend ?? { backend_path: mem_file_path ?? "", backend_type: "File" };
  const isDeprecated = mem_file_path !== null || load.enable_diff_snapshots;
  return {
    phase: "before",
    timed: "load snapshot",
    ...(isDeprecated
      ? { deprecated: "PUT /snapshot/load: mem_file_path and enable_diff_snapshots fields are deprecated." }
      : {}),
    run: async (vm) => {
      if (vm.hasBootRequests)
        throw new Refusal(
          "Load snapshot error: Loading a microVM snapshot not allowed after configuring boot-specific resources.",
        );
      try {
        if (memory.backend_type === "Uffd") throw new Error("Uffd: not supported by this double");
        await restore(vm, load, memory.backend_path);
        if (load.resume_vm) await around.setPaused(false);
      } catch (error) {
        throw new Fatal(`Load snapshot error: Failed to restore from snapshot: ${(error as Error).message}`);
      }
    },
  };
}

/** Throws errors with why it cannot be, in Firecracker's words as far as it would have any. */
async function restore(vm: Vm, load: bodies.SnapshotLoad, memoryPath: string): Promise<void> {
  const saved = await readSaved(load.snapshot_path);
  const { interfaces } = saved.configuration;
  for (const { iface_id: id, host_dev_name: tap } of load.network_overrides) {
    const found = interfaces.find((one) => one.iface_id === id);
    if (found === undefined) throw new Error("Failed to get snapshot state from file: Unknown Network Device.");
    found.host_dev_name = tap;
  }
  await checkMemory(memoryPath, saved.configuration.machine.mem_size_mib);
  const failed = "Failed to build microVM from snapshot:";
  await openDevices(vm, saved.configuration).catch((error: Error) => {
    throw new Error(`${failed} Failed to restore devices: Error restoring MMIO devices: ${error.message}`);
  });
  vm.machine.track_dirty_pages = load.track_dirty_pages;
  await vm.load(saved.devices, memoryPath);
}

/** Opens what the guest had, at the places where it had it. */
async function openDevices(vm: Vm, saved: SavedConfiguration): Promise<void> {
  const { drives, interfaces, vsock, mmds } = saved;
  vm.machine = saved.machine;
  vm.boot = saved.boot;
  vm.balloon = saved.balloon;
  vm.entropy = saved.entropy;
  for (const drive of drives) await within("Block", () => vm.drives.put(drive));
  for (const one of interfaces) await within("Net", () => vm.interfaces.put(one));
  if (mmds !== null)
    vm.mmds.configure(
      mmds,
      interfaces.map(({ iface_id }) => iface_id),
    );
  if (vsock !== null) await within("VsockUnixBackend", () => vm.setVsock({ ...vsock, vsock_id: null }));
}

/** What refuses to be opened says so in other words when it is loaded. */
async function within(kind: string, open: () => void | Promise<void>): Promise<void> {
  try {
    await open();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const why = error.message
      .replace(/^Drive config error: Unable to create the virtio block device: /, "")
      .replace(/^Network config error: Could not create the network device: /, "")
      .replace(/^Vsock config error: Cannot create backend for vsock device: /, "");
    throw new Error(`${kind}: ${why}`, { cause: error });
  }
}

async function readSaved(path: string): Promise<SavedVm> {
  const failed = "Failed to get snapshot state from file:";
  const file = await fs.readFile(path).catch((error: unknown) => {
    throw new Error(`${failed} Failed to open snapshot file: ${systemWords(error)}`);
  });
  try {
    return decodeSnapshot(file);
  } catch (error) {
    if (!(error instanceof SnapshotFileError)) throw error;
    throw new Error(`${failed} Failed to load snapshot state from file: ${error.message}`, { cause: error });
  }
}

async function checkMemory(path: string, sizeMiB: number): Promise<void> {
  const failed = "Failed to load guest memory: Error creating guest memory from file:";
  const { size } = await fs.stat(path).catch((error: unknown) => {
    throw new Error(`${failed} Failed to load guest memory: ${systemWords(error)}`);
  });
  if (size < sizeMiB * 1024 * 1024)
    throw new Error(
      `${failed} Failed to restore guest memory: Total sum of memory regions exceeds largest possible file offset`,
    );
}
