import { promises as fs, watch, type FSWatcher } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { WorkfortError } from "@workfort/contract";
import type { VmmStep, VmSpec } from "@workfort/core";
import { runPaths } from "../../paths.ts";
import { FirecrackerApi } from "./api.ts";
import { settingsOf } from "./configuration.ts";
import type { Places } from "./places.ts";
import { refuseVersion, versionIn } from "./version.ts";

/** for the API socket to appear, ms; it takes some 20 ms on an idle host */
const socketBoundMs = 10_000;
/** to start the guest, ms: memory is cleared and the kernel read into it; in a VM in a VM 12 s were seen */
const instanceStartBoundMs = 30_000;
/** for it to be told everything and its guest to be started, ms; each request has a bound of its own besides */
const bringUpBoundMs = 45_000;

/** Tells a fresh Firecracker everything and boots its guest; rejects in its own words, or with `vmm_unavailable` where its version is of no use. */
export async function bringUp(
  spec: VmSpec,
  places: Places,
  onStep: (step: VmmStep) => void,
  signal: AbortSignal,
): Promise<void> {
  onStep("vmm_api");
  const bound = AbortSignal.timeout(bringUpBoundMs);
  const until = AbortSignal.any([signal, bound]);
  const api = new FirecrackerApi(runPaths(spec.directory).api, until);
  try {
    const version = await awaitVersion(spec.directory, api, until);
    const refusal = refuseVersion(version);
    if (refusal !== null)
      throw new WorkfortError("vmm_unavailable", `Firecracker ${refusal}`, { hint: "nexusctl doctor" });
    onStep("configure");
    await inOrder(settingsOf(spec, places, version).map(({ path, body }) => api.call("PUT", path, body)));
    await api.call("PUT", "/actions", { action_type: "InstanceStart" }, instanceStartBoundMs);
  } catch (error) {
    if (!bound.aborted || signal.aborted) throw error;
    throw new Error(`it has not been told everything within ${bringUpBoundMs / 1000} s`, { cause: error });
  } finally {
    api.close();
  }
}

/**
 * The version that it says it has, once it answers. Its socket appears when Firecracker has bound it, which is waited
 * for, and is listened on a moment later, for which there is no event: then it is tried every 2 ms.
 */
async function awaitVersion(directory: string, api: FirecrackerApi, signal: AbortSignal): Promise<string> {
  const deadline = AbortSignal.timeout(socketBoundMs);
  const socket = runPaths(directory).api;
  const changes = new Changes(dirname(socket));
  try {
    for (;;) {
      const next = changes.next();
      const bound = await isThere(socket);
      try {
        if (bound) return versionIn(await api.call("GET", "/version"));
      } catch (error) {
        if (!isNobodyThere(error)) throw error;
      }
      if (deadline.aborted) throw new Error(`its API has not appeared within ${socketBoundMs / 1000} s`);
      // an event that is missed costs no more than this
      await Promise.race([next, delay(bound ? 2 : 100, undefined, { signal })]);
    }
  } finally {
    changes.close();
  }
}

/** Rejects as the first of them does, in their order. */
async function inOrder(calls: readonly Promise<unknown>[]): Promise<void> {
  for (const call of calls) call.catch(() => {}); // it is seen in its turn
  for (const call of calls) await call;
}

/** What comes into a directory and goes. */
class Changes {
  /** null where the host has no watch to give */
  readonly #watcher: FSWatcher | null;
  #next = Promise.withResolvers<void>();

  constructor(directory: string) {
    this.#watcher = this.#watch(directory);
  }

  /** A failure costs no more than the wait between two looks. */
  #watch(directory: string): FSWatcher | null {
    try {
      return watch(directory, () => {
        this.#next.resolve();
        this.#next = Promise.withResolvers();
      }).on("error", () => {});
    } catch {
      return null; // fs.inotify.max_user_watches of the host is used up
    }
  }

  /** Resolves at the next change. */
  async next(): Promise<void> {
    await this.#next.promise;
  }

  close(): void {
    this.#watcher?.close();
  }
}

async function isThere(path: string): Promise<boolean> {
  return await fs.access(path).then(
    () => true,
    () => false,
  );
}

function isNobodyThere(error: unknown): boolean {
  const { code } = Object((error as Error).cause) as NodeJS.ErrnoException;
  return code === "ECONNREFUSED" || code === "ENOENT";
}
