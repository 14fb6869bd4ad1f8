import { FileListing, FoundFiles, guestPath, WorkfortError, WrittenFile } from "@workfort/contract";
import { Assembly } from "@workfort/contract/assembly";
import * as z from "zod";
import { destroys, guestTool, reads, type ToolCall } from "../tool.ts";

/** Files in a VM, as a model works with them: by lines and by pieces of text. */
const where = {
  path: guestPath().describe('absolute path in the VM, for example "/work/src/main.py"; ~/ is the user\'s home'),
  user: z.string().min(1).max(256).optional().describe("guest user whose permissions count; default root"),
};

/** of one answer of file_read, and of the text that file_edit takes, bytes */
const answerBytes = 262_144;
const editBytes = 8 * 1024 * 1024;

export const fileRead = guestTool({
  name: "file_read",
  title: "Read a file",
  description: `Reads a text file of the VM by lines, or any file as base64 by bytes. At most ${answerBytes} bytes are returned; of a longer file go on with nextLine (text) or nextOffset (base64). Example: {"path": "/work/src/main.py", "startLine": 200, "maxLines": 100}.`,
  input: z.object({
    ...where,
    encoding: z.enum(["text", "base64"]).default("text"),
    startLine: z.int().min(1).default(1).describe("text: first line to return, from 1"),
    maxLines: z.int().min(1).max(20_000).default(2000).describe("text: most lines to return, 1 to 20000"),
    offset: z.int().nonnegative().default(0).describe("base64: first byte to return"),
  }),
  output: z.object({
    content: z.string(),
    nextLine: z.int().nullable().describe("line to go on with; null at the end, and for base64"),
    nextOffset: z.int().nullable().describe("byte to go on with; null at the end, and for text"),
  }),
  annotations: reads,
  async run({ path, user, encoding, startLine, maxLines, offset }, vm, { daemon, signal }) {
    const query = { path, user, offset: encoding === "text" ? "0" : String(offset) };
    const more = encoding === "text" ? {} : { length: String(answerBytes + 1) };
    const { body } = await daemon.bytes("vm.files.read", { params: { vm }, query: { ...query, ...more } }, { signal });
    if (encoding === "text") {
      const { content, nextLine } = await linesOf(body, startLine, maxLines);
      const note = nextLine === null ? "" : `\n[there is more: startLine ${nextLine}]`;
      return { data: { content, nextLine, nextOffset: null }, text: `${content}${note}` };
    }
    const bytes = await takeOf(body, answerBytes + 1);
    const isCut = bytes.length > answerBytes;
    const content = bytes.subarray(0, answerBytes).toString("base64");
    return { data: { content, nextLine: null, nextOffset: isCut ? offset + answerBytes : null }, text: content };
  },
});

export const fileWrite = guestTool({
  name: "file_write",
  title: "Write a file",
  description:
    'Writes a whole file in the VM, at once or not at all, and makes the directories above it. What was there is replaced, its mode and owner are kept. To change a part of a file use file_edit. Example: {"path": "/work/run.sh", "content": "#!/bin/sh\\nexec make\\n", "mode": "0755"}.',
  input: z.object({
    ...where,
    content: z.string().max(7_000_000).describe("text, or base64 of bytes; at most 7000000 characters"),
    encoding: z.enum(["text", "base64"]).default("text"),
    mode: z
      .string()
      .regex(/^[0-7]{3,4}$/)
      .optional()
      .describe('permissions in octal, for example "0755"; default those of the file that is there, else 0644'),
  }),
  output: WrittenFile,
  annotations: { ...destroys, idempotentHint: true },
  async run({ content, encoding, ...query }, vm, call) {
    const bytes = Buffer.from(content, encoding === "text" ? "utf8" : "base64");
    const data = await write(call, vm, query, bytes);
    return { data, text: `${data.created ? "made" : "replaced"} ${data.path}, ${data.sizeBytes} bytes` };
  },
});

export const fileEdit = guestTool({
  name: "file_edit",
  title: "Edit a file",
  description: `Replaces a piece of text in a file of the VM (at most ${editBytes} bytes). oldText must be in the file exactly once, white space included, or replaceAll be true; take enough of the lines around it. Example: {"path": "/work/app.py", "oldText": "DEBUG = True\\n", "newText": "DEBUG = False\\n"}.`,
  input: z.object({
    ...where,
    oldText: z.string().min(1).max(1_000_000).describe("what is there now, exactly"),
    newText: z.string().max(1_000_000).describe("what is to be there; empty to delete"),
    replaceAll: z.boolean().default(false).describe("replace every occurrence"),
  }),
  output: z.object({ path: z.string(), replacements: z.int(), sizeBytes: z.int() }),
  annotations: destroys,
  async run({ oldText, newText, replaceAll, ...query }, vm, call) {
    const before = await wholeText(call, vm, query);
    const pieces = before.split(oldText);
    const replacements = pieces.length - 1;
    if (replacements === 0)
      throw new WorkfortError("not_found", `oldText is not in ${query.path}`, {
        hint: "read the file again with file_read; it must match exactly, white space included",
      });
    if (replacements > 1 && !replaceAll)
      throw new WorkfortError("invalid_request", `oldText is in ${query.path} ${replacements} times`, {
        hint: "take more of the lines around it, or set replaceAll",
      });
    const { path, sizeBytes } = await write(call, vm, query, Buffer.from(pieces.join(newText)));
    const times = replacements === 1 ? "once" : `${replacements} times`;
    return { data: { path, replacements, sizeBytes }, text: `replaced ${times} in ${path}` };
  },
});

export const fileDelete = guestTool({
  name: "file_delete",
  title: "Delete a file or directory",
  description:
    'Deletes a file, a link (not what it leads to) or an empty directory of the VM; with recursive a directory with all that is in it. Example: {"path": "/work/build", "recursive": true}.',
  input: z.object({
    ...where,
    recursive: z.boolean().default(false).describe("a directory with everything in it"),
  }),
  output: z.object({ deleted: z.string() }),
  annotations: destroys,
  async run(body, vm, { daemon, signal }) {
    await daemon.call("vm.files.delete", { params: { vm }, body }, { signal });
    return { data: { deleted: body.path }, text: `${body.path} is deleted` };
  },
});

export const fileList = guestTool({
  name: "file_list",
  title: "List a directory",
  description:
    'Lists a directory of the VM with types, sizes and modes, sorted by path; depth goes into the directories below. If truncated is true, ask again with after set to the last path. Example: {"path": "/work", "depth": 2}.',
  input: z.object({
    ...where,
    depth: z.int().min(1).max(64).default(1).describe("levels of directories, 1 to 64"),
    limit: z.int().min(1).max(10_000).default(500).describe("most entries to return, 1 to 10000"),
    after: z.string().min(1).max(4096).optional().describe("begin after this path"),
  }),
  output: FileListing,
  annotations: reads,
  async run({ depth, limit, ...query }, vm, { daemon, signal }) {
    const asked = { ...query, depth: String(depth), limit: String(limit) };
    const data = await daemon.call("vm.files.list", { params: { vm }, query: asked }, { signal });
    const lines = data.entries.map(({ path, type, sizeBytes, mode, target }) => {
      const what = type === "directory" ? "/" : target === null ? "" : ` -> ${target}`;
      return `${mode} ${String(sizeBytes).padStart(10)} ${path}${what}`;
    });
    if (data.truncated) lines.push("[there is more: after the last path]");
    return { data, text: lines.length === 0 ? "it is empty" : lines.join("\n") };
  },
});

export const fileSearch = guestTool({
  name: "file_search",
  title: "Search files",
  description:
    'Searches the files below a directory of the VM: for lines that match a regular expression (pattern), for names that match a glob (names), or for lines in files of such names. Binary files are passed over. Example: {"path": "/work", "pattern": "TODO|FIXME", "names": ["*.py", "*.ts"]}.',
  input: z.object({
    ...where,
    pattern: z.string().min(1).max(4096).optional().describe("regular expression in the syntax of Rust, for one line"),
    names: z.array(z.string().min(1).max(4096)).max(64).default([]).describe('globs, for example ["*.py"]'),
    ignoreCase: z.boolean().default(false),
    hidden: z.boolean().default(false).describe("what begins with a dot, too"),
    limit: z.int().min(1).max(10_000).default(200).describe("most matches to return, 1 to 10000"),
    timeoutSeconds: z.number().min(0.1).max(60).default(10).describe("longest search, in seconds"),
  }),
  output: FoundFiles,
  annotations: reads,
  async run({ timeoutSeconds, ...body }, vm, { daemon, signal }) {
    const asked = { ...body, timeoutMs: Math.round(timeoutSeconds * 1000) };
    const data = await daemon.call("vm.files.search", { params: { vm }, body: asked }, { signal });
    const lines = data.matches.map(({ path, line, text }) => (line === null ? path : `${path}:${line}: ${text ?? ""}`));
    if (data.stoppedBy !== null) lines.push(`[there may be more: stopped by its ${data.stoppedBy}]`);
    return { data, text: lines.length === 0 ? "nothing was found" : lines.join("\n") };
  },
});

type Place = { path: string; user?: string | undefined };

async function write(
  { daemon, signal }: ToolCall,
  vm: string,
  { path, user, mode }: Place & { mode?: string | undefined },
  bytes: Buffer,
): Promise<WrittenFile> {
  async function* body(): AsyncGenerator<Uint8Array> {
    yield bytes;
  }
  const query = { path, user, mode, parents: "true" } as const;
  return await daemon.send("vm.files.write", { params: { vm }, query }, body(), { signal });
}

async function wholeText({ daemon, signal }: ToolCall, vm: string, { path, user }: Place): Promise<string> {
  const query = { path, user, length: String(editBytes + 1) };
  const { body } = await daemon.bytes("vm.files.read", { params: { vm }, query }, { signal });
  const bytes = await takeOf(body, editBytes + 1);
  if (bytes.length > editBytes)
    throw new WorkfortError("too_large", `${path} is larger than ${editBytes} bytes`, {
      hint: "change it with run_command, for example with sed",
    });
  try {
    return new TextDecoder("utf8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new WorkfortError("invalid_request", `${path} is not text in UTF-8`);
  }
}

/** The first bytes of a source, at most so many, whatever a guest sends. */
async function takeOf(body: AsyncIterable<Uint8Array>, mostBytes: number): Promise<Buffer> {
  const taken = new Assembly();
  for await (const piece of body) {
    taken.put(piece.subarray(0, mostBytes - taken.length));
    if (taken.length === mostBytes) break;
  }
  return taken.bytes;
}

/** Some lines of a text, which is read no further than they go. */
async function linesOf(
  body: AsyncIterable<Uint8Array>,
  startLine: number,
  maxLines: number,
): Promise<{ content: string; nextLine: number | null }> {
  const decoder = new TextDecoder();
  const taken: string[] = [];
  let [line, bytes, held] = [1, 0, ""];
  /** false where the line has no room any more */
  const take = (text: string): boolean => {
    const isWanted = line >= startLine;
    if (isWanted) {
      bytes += Buffer.byteLength(text);
      if (taken.length === maxLines || (bytes > answerBytes && taken.length > 0)) return false;
      taken.push(bytes > answerBytes ? `${text.slice(0, answerBytes)} [the line is longer]\n` : text);
    }
    line += 1;
    return true;
  };
  for await (const chunk of body) {
    const lines = (held + decoder.decode(chunk, { stream: true })).split(/(?<=\n)/);
    held = lines.at(-1)?.endsWith("\n") === false ? (lines.pop() ?? "") : "";
    if (held.length > answerBytes) held = held.slice(0, answerBytes + 1); // of an endless line no more is shown
    for (const text of lines) if (!take(text)) return { content: taken.join(""), nextLine: line };
  }
  held += decoder.decode();
  if (held !== "" && !take(held)) return { content: taken.join(""), nextLine: line };
  return { content: taken.join(""), nextLine: null };
}
