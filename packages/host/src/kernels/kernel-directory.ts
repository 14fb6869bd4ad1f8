import { readdirSync, statSync } from "node:fs";
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
  versions(): Promise<string[]> {
    // a few looks at each start, which would take longer by other threads than they take
    const complete = namesIn(this.#directory).filter((name) => isFile(join(this.#directory, name, "vmlinux")));
    return Promise.resolve(complete.toSorted((a, b) => a.localeCompare(b, "en", { numeric: true })));
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
