import { promises as fs } from "node:fs";
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
/** for it to be told everything and its guest to be started, ms; each request has a bound of its own besides */
const bringUpBoundMs = 30_000;

/** Tells a fresh Firecracker everything and boots its guest; rejects in its own words, or with `vmm_unavailable` where its version is of no use. */
export async function bringUp(
  spec: VmSpec,
  places: Places,
  onStep: (step: VmmStep) => void,
  signal: AbortSignal,
): Promise<void> {
  onStep("vmm_api");
  const api = new FirecrackerApi(runPaths(spec.directory).api);
  const bound = AbortSignal.timeout(bringUpBoundMs);
  const until = AbortSignal.any([signal, bound]);
  try {
    const version = await awaitVersion(spec.directory, api, until);
    const refusal = refuseVersion(version);
    if (refusal !== null)
      throw new WorkfortError("vmm_unavailable", `Firecracker ${refusal}`, { hint: "nexusctl doctor" });
    onStep("configure");
    for (const { path, body } of settingsOf(spec, places, version)) await api.call("PUT", path, body, until);
    await api.call("PUT", "/actions", { action_type: "InstanceStart" }, until);
  } catch (error) {
    if (!bound.aborted || signal.aborted) throw error;
    throw new Error(`it has not been told everything within ${bringUpBoundMs / 1000} s`, { cause: error });
  } finally {
    api.close();
  }
}

/**
 * The version that it says it has, once it answers. Its socket appears when Firecracker has bound it, and is listened
 * on a moment later; there is no event for either, so it is looked for every 2 ms.
 */
async function awaitVersion(directory: string, api: FirecrackerApi, signal: AbortSignal): Promise<string> {
  const deadline = AbortSignal.timeout(socketBoundMs);
  for (;;) {
    try {
      if (await isThere(runPaths(directory).api))
        return versionIn(await api.call("GET", "/version", undefined, signal));
    } catch (error) {
      if (!isNobodyThere(error)) throw error;
    }
    if (deadline.aborted) throw new Error(`its API has not appeared within ${socketBoundMs / 1000} s`);
    await delay(2, undefined, { signal });
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
