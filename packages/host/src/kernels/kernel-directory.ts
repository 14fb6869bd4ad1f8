import { promises as fs } from "node:fs";
import { join } from "node:path";
import { WorkfortError } from "@workfort/contract";
import type { Kernel, Kernels } from "@workfort/core";
import { ensureInitramfs } from "../assets/initramfs.ts";

/**
 * Guest kernels installed under the data directory, one directory a version: `vmlinux`, `modules/`, and the
 * initramfs made from the modules and the guest agent of this very daemon. The newest version is the one that boots.
 */
export class KernelDirectory implements Kernels {
  readonly #directory: string;
  readonly #agentProgram: string;

  constructor(directory: string, agentProgram: string) {
    this.#directory = directory;
    this.#agentProgram = agentProgram;
  }

  async current(): Promise<Kernel> {
    const versions = await this.versions();
    const version = versions.at(-1);
    if (version === undefined) {
      throw new WorkfortError("kernel_missing", `there is no guest kernel in ${this.#directory}`, {
        hint: "npm run up   (fetches one from this machine's package sources)",
      });
    }
    const directory = join(this.#directory, version);
    try {
      return {
        version,
        vmlinux: join(directory, "vmlinux"),
        initramfs: await ensureInitramfs(directory, this.#agentProgram),
      };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new WorkfortError("kernel_missing", `guest kernel ${version} cannot be used: ${message}`, {
        cause: error,
        hint: "npm run up   (builds the guest agent and fetches a kernel)",
      });
    }
  }

  /** oldest first */
  async versions(): Promise<string[]> {
    const names = await fs.readdir(this.#directory).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    });
    const complete: string[] = [];
    for (const name of names) {
      if (await isFile(join(this.#directory, name, "vmlinux"))) complete.push(name);
    }
    return complete.toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }));
  }
}

async function isFile(path: string): Promise<boolean> {
  return await fs.stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
