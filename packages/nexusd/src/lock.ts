import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { WorkfortError } from "@workfort/contract";
import { tryLock } from "@workfort/host/native/libc.ts";

/** Locks the files for as long as this process lives; the lock goes with the process, however it ends. */
export function lockOrRefuse(files: readonly string[]): void {
  for (const path of files) {
    const fd = openLockFile(path);
    if (!tryLock(fd)) {
      const holder = readFileSync(path, "utf8").trim();
      closeSync(fd);
      throw new WorkfortError(
        "in_use",
        `another nexusd${holder === "" ? "" : ` (pid ${holder})`} already serves ${dirname(path)}`,
        {
          hint: "nexusctl status shows it; set NEXUS_INSTANCE=<name> to run a second one beside it",
        },
      );
    }
    writeFileSync(path, `${process.pid}\n`);
  }
}

function openLockFile(path: string): number {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    return openSync(path, "a", 0o600);
  } catch (error) {
    throw new WorkfortError("storage_unavailable", `${path} cannot be written: ${(error as Error).message}`, {
      cause: error,
      hint: `check owner and permissions of ${dirname(path)}`,
    });
  }
}
