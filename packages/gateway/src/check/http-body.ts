import type { Socket } from "node:net";
import { writeTo, type ByteReader } from "./byte-reader.ts";
import { maxHeadBytes, type BodyFraming } from "./http-head.ts";

/** of a line with the size of a chunk */
const maxChunkLineBytes = 4096;
const maxTrailerBytes = 16 * 1024;
const crlf = Buffer.from("\r\n");

/** Reads up to the empty line that ends a head; null where the sender closes instead of beginning one. */
export async function readHead(reader: ByteReader): Promise<string | null> {
  let skipped = 0;
  for (let from = 0; ;) {
    // an empty line before a message is a slip that is forgiven (RFC 9112 2.2)
    while (skipped < 4 && reader.held.length >= 2 && reader.held.subarray(0, 2).equals(crlf)) {
      reader.take(2);
      skipped += 1;
    }
    const end = reader.held.indexOf("\r\n\r\n", from, "latin1");
    if (end !== -1 && end <= maxHeadBytes) return reader.take(end + 4).toString("latin1", 0, end);
    if (reader.held.length > maxHeadBytes) throw new Error("a head is too long");
    from = Math.max(reader.held.length - 3, 0);
    if (!(await reader.more())) {
      if (reader.held.length === 0) return null;
      throw new Error("a head is cut off");
    }
  }
}

/** Passes a body on as it comes, and stops at its end; throws where it has none. */
export async function relayBody(reader: ByteReader, to: Socket, body: BodyFraming): Promise<void> {
  switch (body.kind) {
    case "none":
      return;
    case "length":
      return await relayBytes(reader, to, body.bytes);
    case "chunked":
      return await relayChunks(reader, to);
    case "close":
      do await writeTo(to, reader.take(reader.held.length));
      while (await reader.more());
  }
}

async function relayBytes(reader: ByteReader, to: Socket, count: number): Promise<void> {
  for (let left = count; left > 0;) {
    if (reader.held.length === 0 && !(await reader.more())) throw new Error("a body is cut off");
    const bytes = reader.take(left);
    left -= bytes.length;
    await writeTo(to, bytes);
  }
}

async function relayChunks(reader: ByteReader, to: Socket): Promise<void> {
  for (;;) {
    const line = await readLine(reader, maxChunkLineBytes);
    const [, size] = /^([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n\0]*)?\r\n$/.exec(line) ?? [];
    if (size === undefined) throw new Error("a chunk has no size");
    await writeTo(to, Buffer.from(line, "latin1"));
    const bytes = Number.parseInt(size, 16);
    if (bytes === 0) break;
    await relayBytes(reader, to, bytes);
    if ((await readLine(reader, 2)) !== "\r\n") throw new Error("a chunk is longer than it says");
    await writeTo(to, crlf);
  }
  for (let bytes = 0; ;) {
    const line = await readLine(reader, maxTrailerBytes - bytes);
    bytes += line.length;
    await writeTo(to, Buffer.from(line, "latin1"));
    if (line === "\r\n") return;
  }
}

/** With its end; a line that has no CR before its LF, or one within, is none. */
async function readLine(reader: ByteReader, maxBytes: number): Promise<string> {
  for (let from = 0; ;) {
    const end = reader.held.indexOf(0x0a, from);
    if (end !== -1 && end < maxBytes) {
      const line = reader.take(end + 1).toString("latin1");
      if (line.indexOf("\r") !== line.length - 2) throw new Error("a line does not end in CR LF");
      return line;
    }
    if (end !== -1 || reader.held.length >= maxBytes) throw new Error("a line is too long");
    from = reader.held.length;
    if (!(await reader.more())) throw new Error("a body is cut off");
  }
}
