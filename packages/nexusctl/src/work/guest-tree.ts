import { promises as fs } from "node:fs";
import { join } from "node:path";
import type { Client } from "@workfort/client/client";
import { WorkfortError } from "@workfort/contract/errors";
import { unpackHere, type Unpacked } from "../copy/unpack.ts";
import { UsageError } from "../failures.ts";
import { GuestWorkError } from "./quarantine.ts";

export interface Pulling {
  client: Client;
  signal: AbortSignal;
  place: { vm: string; path: string };
}

/** of a guest's archive, bytes; more would fill this host's disk before anybody has looked at it */
const archiveBytes = 16 * 1024 ** 3;

/** What lies at the place, unpacked into a new directory of this host. */
export async function fetchTree({ client, signal, place: { vm, path } }: Pulling, tree: string): Promise<Unpacked> {
  const { body } = await client
    .bytes("vm.files.archive", { params: { vm }, query: { path } }, { signal })
    .catch((error: unknown) => {
      if (error instanceof WorkfortError && error.code === "not_found")
        throw new UsageError(`there is nothing at ${vm}:${path}`, { hint: `nexusctl work push . ${vm}:${path}` });
      throw error;
    });
  return await unpackHere(bounded(body), tree);
}

/** Takes the repositories out of a tree: git would take them for submodules, and look into them. Gives their paths. */
export async function removeRepositories(directory: string): Promise<string[]> {
  const removed: string[] = [];
  for (const entry of await fs.readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (isRepository(entry.name)) {
      await fs.rm(path, { recursive: true, force: true });
      removed.push(path);
    } else if (entry.isDirectory()) removed.push(...(await removeRepositories(path)));
  }
  return removed;
}

/** What git keeps a repository in; some file systems see no difference of case. */
export function isRepository(name: string): boolean {
  return name.toLowerCase() === ".git";
}

async function* bounded(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > archiveBytes) throw new GuestWorkError(`the guest's work is larger than ${archiveBytes} bytes`);
    yield chunk;
  }
}
