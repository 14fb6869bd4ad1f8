import { Assembly } from "./assembly.ts";
import type { Process } from "./process.ts";

/**
 * The output stream of a process (codex/reference/guest-protocol.md): frames of a 16-byte header
 * (kind, length, offset) and a payload. The bytes come from the guest, so every size is checked.
 *
 * This file loads no schema: a caller says what makes a process frame's JSON a Process.
 */
export type OutputFrame =
  | { kind: "stdout" | "stderr"; offset: number; bytes: Buffer }
  | { kind: "process"; process: Process }
  | { kind: "gap"; offset: number };

const headerBytes = 16;
/** the agent sends at most 64 KiB in a data frame; a process frame holds at most 1 MiB of arguments, escaped */
const maxDataBytes = 65_536;
const maxProcessBytes = 8 * 1024 * 1024;

export class OutputStreamError extends Error {
  override readonly name = "OutputStreamError";
}

/** Cuts a byte stream into frames; throws OutputStreamError on anything that is not one. */
export async function* cutFrames(
  source: AsyncIterable<Uint8Array>,
  toProcess: (json: unknown) => Process,
): AsyncGenerator<OutputFrame, void, undefined> {
  const rest = new Assembly();
  for await (const chunk of source) {
    if (rest.length > 0) rest.put(chunk);
    // whole frames are read where they are
    const held = rest.length > 0 ? rest.bytes : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let at = 0;
    while (held.length - at >= headerBytes) {
      const length = checkedLength(held, at);
      if (held.length - at < headerBytes + length) break;
      yield parseFrame(held, at, length, toProcess);
      at += headerBytes + length;
    }
    if (rest.length > 0) rest.drop(at);
    else rest.put(held.subarray(at));
  }
  if (rest.length > 0) throw new OutputStreamError(`the output stream ends inside a frame (${rest.length} bytes left)`);
}

const kinds = ["stdout", "stderr", "process", "gap"] as const;

function checkedLength(held: Buffer, at: number): number {
  const kind = kinds[held.readUInt8(at) - 1];
  if (kind === undefined) throw new OutputStreamError(`unknown frame kind ${held.readUInt8(at)}`);
  const length = held.readUInt32BE(at + 4);
  const limit = kind === "process" ? maxProcessBytes : kind === "gap" ? 0 : maxDataBytes;
  if (length > limit) throw new OutputStreamError(`a ${kind} frame of ${length} bytes is over the limit of ${limit}`);
  return length;
}

function parseFrame(held: Buffer, at: number, length: number, toProcess: (json: unknown) => Process): OutputFrame {
  const kind = kinds[held.readUInt8(at) - 1] as (typeof kinds)[number];
  const payload = held.subarray(at + headerBytes, at + headerBytes + length);
  if (kind === "process") return { kind, process: toProcess(parseJson(payload)) };
  const offset = Number(held.readBigUInt64BE(at + 8));
  if (!Number.isSafeInteger(offset)) throw new OutputStreamError("an offset is over 2^53");
  return kind === "gap" ? { kind, offset } : { kind, offset, bytes: payload };
}

function parseJson(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString("utf8"));
  } catch {
    throw new OutputStreamError("a process frame does not hold JSON");
  }
}
