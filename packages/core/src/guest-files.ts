import type { Readable } from "node:stream";
import {
  FileChange,
  FileEntry,
  FileListing,
  FoundFiles,
  MadeDirectory,
  UnpackedFiles,
  WorkfortError,
  WrittenFile,
  type DeleteFile,
  type MakeDirectory,
  type MoveFile,
  type SearchFiles,
} from "@workfort/contract";
import * as z from "zod";
import { ask, askJson, askStream, toldPlainly } from "./guest-answer.ts";
import type { GuestLink, GuestRequest } from "./ports.ts";

/**
 * Files in a guest, through its agent. Content and archives pass through as they are, as fast as their reader takes
 * them; everything else is checked.
 */

/** of one line of a watch */
const lineBytes = 65_536;
/** what a search has beside its own time for its answer, ms */
const searchPatienceMs = 15_000;
/** what a large directory may take, ms */
const slowMs = 120_000;

/** headers of a file's content that go on to a caller, and what they look like */
const contentHeaders = {
  "workfort-size": /^\d{1,19}$/,
  "workfort-length": /^\d{1,19}$/,
  "workfort-mode": /^[0-7]{4}$/,
  "workfort-modified": /^-?\d{1,19}$/,
} as const;

interface Place {
  path: string;
  user?: string | undefined;
}

export class GuestFiles {
  readonly #link: GuestLink;
  readonly #signal: AbortSignal;

  /** `signal` ends whatever is under way */
  constructor(link: GuestLink, signal: AbortSignal) {
    this.#link = link;
    this.#signal = signal;
  }

  async read(
    query: Place & { offset: number; length?: number | undefined },
  ): Promise<{ content: Readable; headers: Record<string, string> }> {
    const { body, headers } = await ask(this.#link, this.#get("content", query));
    const known = Object.entries(contentHeaders).flatMap(([name, pattern]): [string, string][] => {
      const value = headers[name];
      return typeof value === "string" && pattern.test(value) ? [[name, value]] : [];
    });
    return { content: body, headers: Object.fromEntries(known) };
  }

  async write(
    query: Place & {
      mode?: string | undefined;
      owner?: string | undefined;
      parents: boolean;
      draft?: string | undefined;
      offset: number;
    },
    bytes: Readable,
  ): Promise<WrittenFile> {
    // an older agent does not know it
    const asked = { ...query, offset: query.offset === 0 ? undefined : query.offset };
    return await askJson(this.#link, this.#put("content", asked, bytes), WrittenFile);
  }

  async stat(query: Place): Promise<FileEntry> {
    return await askJson(this.#link, this.#get("stat", query), FileEntry);
  }

  async list(query: Place & { depth: number; limit: number; after?: string | undefined }): Promise<FileListing> {
    return await askJson(this.#link, { ...this.#get("list", query), timeoutMs: slowMs }, FileListing);
  }

  async move(body: MoveFile): Promise<void> {
    await askJson(this.#link, { ...this.#post("move", body), timeoutMs: null }, z.object({}));
  }

  async delete(body: DeleteFile): Promise<void> {
    await askJson(this.#link, { ...this.#post("delete", body), timeoutMs: null }, z.object({}));
  }

  async mkdir(body: MakeDirectory): Promise<MadeDirectory> {
    return await askJson(this.#link, this.#post("mkdir", body), MadeDirectory);
  }

  async search(body: SearchFiles): Promise<FoundFiles> {
    const timeoutMs = body.timeoutMs + searchPatienceMs;
    return await askJson(this.#link, { ...this.#post("search", body), timeoutMs }, FoundFiles);
  }

  /** Lines of JSON, each a FileChange, until the directory has gone. */
  async watch(query: Place & { recursive: boolean }): Promise<AsyncIterable<Buffer>> {
    return checkedChanges(await askStream(this.#link, this.#get("watch", query)));
  }

  async archive(query: Place): Promise<Readable> {
    return await askStream(this.#link, this.#get("archive", query));
  }

  async unpack(query: Place & { owners: boolean }, bytes: Readable): Promise<UnpackedFiles> {
    return await askJson(this.#link, this.#put("archive", query, bytes), UnpackedFiles);
  }

  #get(what: string, query: object): GuestRequest {
    return { method: "GET", path: withQuery(what, query), signal: this.#signal };
  }

  #put(what: string, query: object, bytes: Readable): GuestRequest {
    return { method: "PUT", path: withQuery(what, query), bytes, signal: this.#signal, timeoutMs: null };
  }

  #post(what: string, body: object): GuestRequest {
    return { method: "POST", path: `/v1/files/${what}`, body, signal: this.#signal };
  }
}

function withQuery(what: string, query: object): string {
  const pairs = Object.entries(query)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`);
  return `/v1/files/${what}?${pairs.join("&")}`;
}

async function* checkedChanges(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  let held = "";
  const decoder = new TextDecoder();
  for await (const chunk of toldPlainly(source)) {
    const lines = (held + decoder.decode(chunk, { stream: true })).split("\n");
    held = lines.pop() ?? "";
    if (held.length > lineBytes)
      throw new WorkfortError("agent_failed", `a line of the agent's watch is over ${lineBytes} bytes`);
    const checked = lines.map((line) => `${JSON.stringify(toChange(line))}\n`);
    if (checked.length > 0) yield Buffer.from(checked.join(""));
  }
}

function toChange(line: string): FileChange {
  try {
    return FileChange.parse(JSON.parse(line));
  } catch (error) {
    throw new WorkfortError("agent_failed", "a line of the agent's watch is no change of a file", { cause: error });
  }
}
