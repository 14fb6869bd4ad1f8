import { promises as fs } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { tryLock } from "../native/libc.ts";
import type { FetchOptions } from "./debian-kernel.ts";

/** Waits for its turn at a directory; the lock goes with the process, however it ends. Returns what gives it up. */
export async function lockDirectory(directory: string, options: FetchOptions): Promise<() => Promise<void>> {
  const handle = await fs.open(join(directory, ".lock"), "a", 0o600);
  let told = false;
  while (!tryLock(handle.fd)) {
    if (!told) options.onProgress(`waiting for another process that prepares ${directory}`);
    told = true;
    await delay(200, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
  return () => handle.close();
}
