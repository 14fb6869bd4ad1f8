import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureInitramfs } from "@workfort/host/assets/initramfs.ts";
import { runPaths } from "@workfort/host/paths.ts";
import { runTool } from "@workfort/host/process/run.ts";
import type { VmSpec } from "@workfort/core";
import { nativePrograms, testEnvironment } from "@workfort/testing";

let made = 0;

/** What a VM by hand is made of: a directory, a copy of the disk, and what the daemon would tell its VMM. */
export async function makeBareSpec(memoryMiB: number): Promise<VmSpec> {
  const { root, kernelDirectory, rootfsImage } = testEnvironment();
  const directory = await fs.mkdtemp(join(tmpdir(), "wfb"));
  await fs.mkdir(runPaths(directory).vmm);
  const disk = join(root, `bare-${process.pid}-${(made += 1)}.ext4`);
  await runTool(["cp", "--reflink=always", rootfsImage, disk]);
  return {
    id: "vm_bare",
    name: "bare",
    cid: 3,
    vcpuCount: 1,
    memoryMiB,
    kernel: {
      version: "bare",
      vmlinux: join(kernelDirectory, "vmlinux"),
      initramfs: await ensureInitramfs(kernelDirectory, join(nativePrograms, "guest-agent")),
    },
    drives: [{ id: "ws_bare", path: disk, readOnly: false, rateLimit: null }],
    mounts: [],
    network: null,
    directory,
  };
}

export async function removeBareSpec({ directory, drives }: VmSpec): Promise<void> {
  for (const { path } of drives) await fs.rm(path, { force: true });
  await fs.rm(directory, { recursive: true, force: true });
}
