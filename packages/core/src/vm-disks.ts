import type { Mount, StorageDriver, Store, VmSpec } from "./ports.ts";
import type { VmRecord } from "./records.ts";

/**
 * A VM's disks as its VMM and its guest see them: the workspace is the root drive, data drives follow in the order in
 * which they were attached. The guest names its disks in that order, so a drive's place is its device.
 */

/**
 * Firecracker has 19 interrupt lines for devices, one each. Two are its own (VM generation and clock), and the root
 * drive, vsock, entropy and balloon take four; one is left for a network interface.
 */
const maxDataDrives = 12;

/**
 * What the mounts may take of the guest's kernel command line. It holds 2048 bytes (COMMAND_LINE_SIZE of the kernels
 * for x86 and arm64), of which the rest and the devices that a VMM may announce there take less than half.
 */
const mountArgumentsBytes = 1024;

export function disksOf(
  vm: VmRecord,
  store: Pick<Store, "attachmentsOf">,
  storage: Pick<StorageDriver, "diskPath">,
): Pick<VmSpec, "drives" | "mounts"> {
  const attached = store.attachmentsOf(vm.id);
  const root = {
    id: vm.workspaceId,
    path: storage.diskPath("workspaces", vm.workspaceId),
    readOnly: false,
    rateLimit: null,
  };
  return {
    drives: [
      root,
      ...attached.map(({ driveId, readOnly, rateLimit }) => ({
        id: driveId,
        path: storage.diskPath("drives", driveId),
        readOnly,
        rateLimit,
      })),
    ],
    mounts: mountsOf(attached),
  };
}

/** Mounts in the order in which a guest has to make them: a path before those that lie in it. */
export function mountsOf(attached: readonly { mountPath: string | null; readOnly: boolean }[]): Mount[] {
  return attached
    .flatMap(({ mountPath, readOnly }, place) =>
      mountPath === null ? [] : [{ device: dataDevice(place), path: mountPath, readOnly }],
    )
    .toSorted((a, b) => a.path.split("/").length - b.path.split("/").length);
}

/** The device of the data drive in this place, from 0: `vdb`, `vdc` and so on. */
export function dataDevice(place: number): string {
  return `vd${String.fromCharCode("b".charCodeAt(0) + place)}`;
}

/** Why a VM with these drives cannot have one more; null if it can. */
export function refuseDrive(
  attached: readonly { mountPath: string | null; readOnly: boolean }[],
  next: { mountPath?: string | undefined; readOnly: boolean },
): { code: "too_many" | "in_use"; why: string } | null {
  const { mountPath = null, readOnly } = next;
  if (attached.length >= maxDataDrives)
    return { code: "too_many", why: `it has ${maxDataDrives} data drives, and a VM can have no more` };
  if (mountPath !== null && attached.some((other) => other.mountPath === mountPath))
    return { code: "in_use", why: `another of its drives is mounted on ${mountPath}` };
  const words = mountArguments(mountsOf([...attached, { mountPath, readOnly }]));
  const bytes = Buffer.byteLength(words.join(" "));
  if (mountPath !== null && bytes > mountArgumentsBytes)
    return {
      code: "too_many",
      why: `its mount paths would take ${bytes} bytes of the guest's kernel command line, where they may take ${mountArgumentsBytes}`,
    };
  return null;
}

/** Words of the kernel's command line (codex/reference/guest-protocol.md). */
export function mountArguments(mounts: readonly Mount[]): string[] {
  return mounts.map(({ device, path, readOnly }) => `workfort.mount=${device}:${encode(path)}${readOnly ? ":ro" : ""}`);
}

function encode(path: string): string {
  const encoded = Array.from(Buffer.from(path), (byte) =>
    /[A-Za-z0-9/._-]/.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : percent(byte),
  );
  return encoded.join("");
}

function percent(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
}
