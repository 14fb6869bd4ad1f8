import { closeSync, openSync } from "node:fs";
import * as bodies from "./bodies.ts";
import type { Call } from "./calls.ts";
import { JsonError } from "./json-reader.ts";
import { Fatal, Refusal, systemWords } from "./refusal.ts";
import { readBody, refusedJson } from "./shapes.ts";

/** Snapshots: asked for in the right way and phase they are refused, since the double has none. */
export function createSnapshot(body: Buffer): Call {
  readBody(body, bodies.snapshotCreate);
  return {
    phase: "after",
    run: (vm) => {
      if (vm.state === "Running")
        throw new Refusal(
          "Create snapshot error: Cannot save the microVM state: Operation not allowed: save/restore unavailable while running",
        );
      throw new Refusal("Create snapshot error: not supported by this double");
    },
  };
}

export function loadSnapshot(body: Buffer): Call {
  const { snapshot_path: path, mem_backend, mem_file_path } = readBody(body, bodies.snapshotLoad);
  const either = "either `mem_backend` or `mem_file_path`";
  if (mem_backend === null && mem_file_path === null)
    throw refusedJson(new JsonError(`missing field: ${either} is required`, 0, 0));
  if (mem_backend !== null && mem_file_path !== null)
    throw refusedJson(new JsonError(`too many fields: ${either} exclusively is required`, 0, 0));
  const deprecated = "PUT /snapshot/load: mem_file_path and enable_diff_snapshots fields are deprecated.";
  return {
    phase: "before",
    ...(mem_file_path === null ? {} : { deprecated }),
    run: (vm) => {
      if (vm.hasBootRequests)
        throw new Refusal(
          "Load snapshot error: Loading a microVM snapshot not allowed after configuring boot-specific resources.",
        );
      throw new Fatal(`Load snapshot error: Failed to restore from snapshot: ${whyNot(path)}`);
    },
  };
}

function whyNot(path: string): string {
  try {
    closeSync(openSync(path, "r"));
    return "not supported by this double";
  } catch (error) {
    return `Failed to get snapshot state from file: Failed to open snapshot file: ${systemWords(error)}`;
  }
}
