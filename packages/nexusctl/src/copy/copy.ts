import { promises as fs } from "node:fs";
import { join, resolve } from "node:path";
import type { Client } from "@workfort/client/client";
import { checkSame, fileFacts, readFile, type FileFacts } from "@workfort/client/file-content";
import { WorkfortError } from "@workfort/contract/errors";
import { UsageError } from "../failures.ts";
import { resumeFile, writeFile } from "./draft.ts";
import { nameOf, showPlace, type Place } from "./place.ts";
import { packTree } from "./tar-out.ts";
import { upload } from "./upload.ts";
import { unpackHere, type Unpacked } from "./unpack.ts";

/** Copies between this host and a VM: files by their content, directories as archives. */
export interface Copying {
  client: Client;
  /** of the guest, by whom it is done there */
  user: string | undefined;
  signal: AbortSignal;
  /** keep what an interruption leaves, and go on with it */
  resume: boolean;
  /** the line broke and is made again */
  onBreak: (error: unknown) => void;
  /** a file's bytes are about to go through, from this one on, of so many */
  onSize: (at: number, size: number) => void;
  /** more bytes have gone through */
  onBytes: (count: number) => void;
  /** writes to this program's stdout */
  pour: (bytes: Uint8Array) => Promise<void>;
}

export interface Copied extends Unpacked {
  from: string;
  to: string;
  /** bytes that an interrupted copy had brought already */
  resumedAt: number;
}

type Guest = Extract<Place, { kind: "guest" }>;
type Here = Exclude<Place, { kind: "guest" }>;

const nothing = { files: 0, directories: 0, links: 0, bytes: 0, leftOut: [] as string[], resumedAt: 0 };

/** Copies one thing; where `target` is a directory, into it. */
export async function copy(copying: Copying, source: Place, target: Place, intoDirectory: boolean): Promise<Copied> {
  if (copying.resume && (source.kind === "pipe" || target.kind === "pipe")) throw onlyFiles();
  if (source.kind === "guest" && target.kind !== "guest")
    return await fromGuest(copying, source, target, intoDirectory);
  if (source.kind !== "guest" && target.kind === "guest") return await toGuest(copying, source, target, intoDirectory);
  throw new UsageError("one side has to be in a VM, and the other on this host", {
    hint: "nexusctl vm cp dev:/etc/hostname .",
  });
}

async function fromGuest(copying: Copying, source: Guest, target: Here, intoDirectory: boolean): Promise<Copied> {
  const { client, signal, onBytes } = copying;
  const params = { vm: source.vm };
  const query = queryOf(copying, source.path);
  const isDirectory = await isGuestDirectory(copying, source);
  if (target.kind === "pipe") {
    if (isDirectory) throw new UsageError(`${showPlace(source)} is a directory; only a file can go to stdout`);
    const { body } = await client.bytes("vm.files.read", { params, query }, { signal });
    let bytes = 0;
    for await (const chunk of body) {
      await copying.pour(chunk);
      bytes += chunk.length;
    }
    return { ...nothing, files: 1, bytes, from: showPlace(source), to: "-" };
  }
  const to = await hostTarget(target.path, nameOf(source.path), intoDirectory);
  const told = { from: showPlace(source), to };
  if (isDirectory && copying.resume) throw onlyFiles();
  if (isDirectory) {
    const { body } = await client.bytes("vm.files.archive", { params, query }, { signal });
    return { ...nothing, ...told, ...(await unpackHere(counted(body, onBytes, signal), to)) };
  }
  return { ...nothing, ...told, files: 1, ...(await fileFromGuest(copying, source, to)) };
}

/** Goes on by itself over breaks of the line. */
async function fileFromGuest(
  copying: Copying,
  source: Guest,
  to: string,
): Promise<{ bytes: number; resumedAt: number }> {
  const { client, signal, onSize, onBytes, onBreak } = copying;
  const place = queryOf(copying, source.path);
  const about = ({ mode, modifiedMs }: FileFacts): { mode: number; modified: number | null } => ({
    mode: mode & 0o777,
    modified: Number.isSafeInteger(modifiedMs) ? modifiedMs / 1000 : null,
  });
  if (!copying.resume) {
    const { facts, content } = await readFile(client, source.vm, place, { signal, onBreak });
    onSize(0, facts.size);
    const bytes = await writeFile(Buffer.from(to), counted(content, onBytes, signal), about(facts));
    return { bytes, resumedAt: 0 };
  }
  const facts = await fileFacts(client, source.vm, place, signal);
  const key = JSON.stringify([source, copying.user, facts.size, facts.modifiedMs]);
  const resumedAt = await resumeFile(to, { ...about(facts), key, size: facts.size }, async (offset) => {
    const again = await readFile(client, source.vm, place, { offset, signal, onBreak });
    checkSame(facts, again.facts, place);
    onSize(offset, facts.size);
    return counted(again.content, onBytes, signal);
  });
  return { bytes: facts.size, resumedAt };
}

function onlyFiles(): UsageError {
  return new UsageError("--resume goes on with files, and with nothing else", {
    hint: "rsync -a --partial -e 'nexusctl vm exec -i' does so for directories",
  });
}

async function toGuest(copying: Copying, source: Here, target: Guest, intoDirectory: boolean): Promise<Copied> {
  const { client, signal, onBytes } = copying;
  const params = { vm: target.vm };
  if (source.kind === "pipe") {
    const query = queryOf(copying, target.path);
    const body = counted(process.stdin, onBytes, signal);
    const { sizeBytes, path } = await client.send("vm.files.write", { params, query }, body, { signal });
    return { ...nothing, files: 1, bytes: sizeBytes, from: "-", to: `${target.vm}:${path}` };
  }
  const found = await fs.stat(source.path);
  const path = await guestTarget(copying, target, nameOf(resolve(source.path)), intoDirectory);
  const told = { from: showPlace(source), to: `${target.vm}:${path}` };
  const query = queryOf(copying, path);
  if (found.isDirectory()) {
    if (copying.resume) throw onlyFiles();
    const packed = { files: 0, directories: 0, links: 0, leftOut: [] as string[] };
    const tar = counted(packTree(source.path, packed), onBytes, signal);
    const done = await client.send("vm.files.unpack", { params, query }, tar, { signal });
    return { ...nothing, ...told, ...done, leftOut: [...packed.leftOut, ...done.leftOut] };
  }
  if (!found.isFile()) throw new UsageError(`${source.path} is neither a file nor a directory`);
  return { ...nothing, ...told, files: 1, ...(await upload(copying, source.path, { vm: target.vm, path })) };
}

function queryOf({ user }: Copying, path: string): { path: string; user?: string } {
  return { path, ...(user === undefined ? {} : { user }) };
}

/** Whether a path in a guest leads to a directory. */
async function isGuestDirectory(copying: Copying, { vm, path }: Guest): Promise<boolean> {
  const query = queryOf(copying, `${path}/.`);
  try {
    await copying.client.call("vm.files.stat", { params: { vm }, query }, { signal: copying.signal });
    return true;
  } catch (error) {
    if (error instanceof WorkfortError && (error.code === "not_a_directory" || error.code === "not_found"))
      return false;
    throw error;
  }
}

async function hostTarget(target: string, name: string | null, intoDirectory: boolean): Promise<string> {
  const isDirectory = await fs.stat(target).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isDirectory && (intoDirectory || target.endsWith("/"))) throw new UsageError(`${target} is no directory`);
  return isDirectory && name !== null ? join(target, name) : target;
}

async function guestTarget(
  copying: Copying,
  target: Guest,
  name: string | null,
  intoDirectory: boolean,
): Promise<string> {
  const isDirectory = await isGuestDirectory(copying, target);
  if (!isDirectory && (intoDirectory || target.path.endsWith("/")))
    throw new UsageError(`${showPlace(target)} is no directory`);
  return isDirectory && name !== null ? `${target.path.replace(/\/+$/, "")}/${name}` : target.path;
}

async function* counted(
  source: AsyncIterable<Uint8Array>,
  onBytes: (count: number) => void,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of source) {
    signal.throwIfAborted();
    onBytes(chunk.length);
    yield chunk;
  }
}
