import { dirname, join } from "node:path";
import { WorkfortError, type VmmKind } from "@workfort/contract";
import type { Locations } from "@workfort/contract/locations";
import { bareId, newId, type DiskKind } from "@workfort/core";

/** Every file, directory and socket that the daemon ever makes. */
export function pathsOf(locations: Locations) {
  const { dataDirectory, stateDirectory, runtimeDirectory } = locations;
  return {
    /** held locked by the running daemon */
    lockFile: join(stateDirectory, "nexusd.lock"),
    database: join(stateDirectory, "nexus.db"),
    /** bearer token for TCP, mode 0600 */
    tokenFile: join(stateDirectory, "token"),
    /** what a background daemon writes */
    logFile: join(stateDirectory, "nexusd.log"),
    pidFile: join(stateDirectory, "nexusd.pid"),
    /** says that a loop-backed store was made, and where it must be mounted */
    storageRecord: join(stateDirectory, "storage.json"),
    /** the file behind a loop-backed store; beside the mount point, never under it */
    loopFile: `${dataDirectory}.btrfs`,
    /** consoles of VMs that have ended */
    consoleFile: (vmId: string) => join(stateDirectory, "consoles", `${bareId(vmId)}.log`),
    /** what booting once on KVM has shown */
    vmmProbeFile: (kind: VmmKind) => join(stateDirectory, `${kind}-probe.json`),

    disks: (kind: DiskKind) => join(dataDirectory, kind),
    disk: (kind: DiskKind, id: string) => join(dataDirectory, kind, bareId(id)),
    /** inside the store, so that a store that is not mounted is noticed */
    storageMarker: join(dataDirectory, ".workfort-storage"),
    kernels: join(dataDirectory, "kernels"),
    /** held locked by the running daemon, so that no other state directory's daemon serves the same disks */
    dataLockFile: join(dataDirectory, ".nexusd.lock"),

    socket: locations.socket,
    runs: join(runtimeDirectory, "vms"),
    run: (vmId: string) => join(runtimeDirectory, "vms", bareId(vmId)),
    /** what the workplace's network namespace is held, joined and ruled by */
    network: networkPaths(join(runtimeDirectory, "network")),
    /** where Firecracker's jailer makes the file systems that its VMMs see; not at run-time files, which hold no devices */
    jails: join(dataDirectory, "jails"),
  } as const;
}

export type Paths = ReturnType<typeof pathsOf>;

/** the longest path of a socket in bytes: `sun_path` of unix(7) without its final zero */
const socketPathBytes = 107;

/** Throws where a directory of run-time files lies so deep that the sockets in it could not be reached. */
export function requireRoomForSockets(paths: Paths): void {
  const longest = runPaths(paths.run(newId("vm"))).vsock;
  const over = Buffer.byteLength(longest) - socketPathBytes;
  if (over > 0)
    throw new WorkfortError(
      "storage_unavailable",
      `${dirname(paths.runs)} lies too deep for sockets: a VM's would have ${over} bytes more than the ${socketPathBytes} that a socket's path may have`,
      { hint: "set XDG_RUNTIME_DIR to a shorter directory" },
    );
}

function networkPaths(directory: string) {
  return {
    directory,
    /** the run of the process that keeps the namespace */
    holder: join(directory, "holder"),
    /** of pasta, where it makes the uplink */
    uplink: join(directory, "uplink"),
    gateway: join(directory, "gateway"),
    /** on which the gateway is told what to do */
    control: join(directory, "gateway", "control"),
    /** sockets of host services, each named by its port: the gateway brings there what guests begin */
    services: join(directory, "services"),
    /** which namespace it is */
    namespace: join(directory, "namespace.json"),
  } as const;
}

/** What one run of a VM has on disk: `vmm` is the VMM's own directory, the rest is kept from it. */
export function runPaths(directory: string) {
  const vmm = join(directory, "vmm");
  return {
    keeper: join(directory, "keeper"),
    /** what its processes are held by (confinement/held.ts) */
    held: join(directory, "held.json"),
    vmm,
    agent: join(vmm, "agent"),
    qmp: join(vmm, "qmp"),
    /** Firecracker's API */
    api: join(vmm, "api"),
    vsock: join(vmm, "vsock"),
    /** a FIFO for its log */
    log: join(vmm, "log"),
    /** a FIFO for its metrics */
    metrics: join(vmm, "metrics"),
  } as const;
}
