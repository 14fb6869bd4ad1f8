import { promises as fs } from "node:fs";
import { dirname } from "node:path";
import type { VmSpec } from "@workfort/core";
import type { Reach } from "../process/keeper-start.ts";

/** programs, libraries, firmware, and how they are set up; nobody's own files, and no other process's */
const systemFiles =
  "/usr /bin /sbin /lib /lib32 /lib64 /opt /nix /etc/ld.so.cache /etc/qemu /etc/localtime /sys/devices/system /sys/module /proc/cpuinfo".split(
    " ",
  );
const devices = ["/dev/kvm", "/dev/net/tun", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/** A guest's own files. */
export function filesOf({ kernel, drives }: Pick<VmSpec, "kernel" | "drives">): Reach {
  const paths = (readOnly: boolean): string[] =>
    drives.filter((drive) => drive.readOnly === readOnly).map(({ path }) => path);
  return { read: [kernel.vmlinux, kernel.initramfs, ...paths(true)], write: paths(false) };
}

/** What a VMM needs beside its guest's own files: its program's directory and the host's. */
export async function reachOf(binary: string, guest: Reach): Promise<Reach> {
  const real = await fs.realpath(binary);
  return {
    read: [...systemFiles, dirname(binary), dirname(real), ...guest.read],
    write: [...devices, ...guest.write],
  };
}
