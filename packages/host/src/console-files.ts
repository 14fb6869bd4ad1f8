import { promises as fs } from "node:fs";
import type { ConsoleArchive } from "@workfort/core";
import { writeAtomically } from "./files.ts";
import type { Paths } from "./paths.ts";

/** Consoles of VMs that have ended, one file each. */
export class ConsoleFiles implements ConsoleArchive {
  readonly #paths: Paths;

  constructor(paths: Paths) {
    this.#paths = paths;
  }

  async save(vmId: string, bytes: Buffer): Promise<void> {
    await writeAtomically(this.#paths.consoleFile(vmId), bytes);
  }

  async read(vmId: string): Promise<Buffer> {
    return await fs.readFile(this.#paths.consoleFile(vmId)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return Buffer.alloc(0);
      throw error;
    });
  }

  async delete(vmId: string): Promise<void> {
    await fs.rm(this.#paths.consoleFile(vmId), { force: true });
  }
}
