import type { Kernel, VmSpec } from "@workfort/core";
import type { JailedFile } from "../../confinement/jailer.ts";
import { runPaths } from "../../paths.ts";

/** where a Firecracker sees what it is told of */
export interface Places {
  api: string;
  vsock: string;
  log: string;
  metrics: string;
  kernel: Pick<Kernel, "vmlinux" | "initramfs">;
  /** in the order of the drives */
  drives: readonly string[];
}

/** The host's own paths. */
export function hostPlaces(spec: VmSpec): Places {
  const { api, vsock, log, metrics } = runPaths(spec.directory);
  return { api, vsock, log, metrics, kernel: spec.kernel, drives: spec.drives.map(({ path }) => path) };
}

const jailNames = {
  api: "api",
  vsock: "vsock",
  log: "log",
  metrics: "metrics",
  vmlinux: "vmlinux",
  initramfs: "initramfs",
};
/** The paths in a jail, whose root is the VMM's own directory of the run. */
export function jailPlaces(spec: VmSpec): Places {
  const { api, vsock, log, metrics, vmlinux, initramfs } = jailNames;
  return {
    api: `/${api}`,
    vsock: `/${vsock}`,
    log: `/${log}`,
    metrics: `/${metrics}`,
    kernel: { vmlinux: `/${vmlinux}`, initramfs: `/${initramfs}` },
    drives: spec.drives.map((_, index) => `/${driveName(index)}`),
  };
}

/** What is mounted into the jail. */
export function jailedFiles(spec: VmSpec): JailedFile[] {
  return [
    { path: spec.kernel.vmlinux, name: jailNames.vmlinux, readOnly: true },
    { path: spec.kernel.initramfs, name: jailNames.initramfs, readOnly: true },
    ...spec.drives.map(({ path, readOnly }, index) => ({ path, name: driveName(index), readOnly })),
  ];
}

function driveName(index: number): string {
  return `drive${index}`;
}
