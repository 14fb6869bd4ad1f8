import { Terminal, WorkfortError } from "@workfort/contract";
import { Assembly } from "@workfort/contract/assembly";

/** The terminal stream (codex/reference/guest-protocol.md). The bytes come from the guest, so every size is checked. */
export type TerminalFrame =
  | { kind: "screen" | "size"; columns: number; rows: number }
  | { kind: "output"; bytes: Buffer }
  | { kind: "ended"; terminal: Terminal };

const headerBytes = 16;
const kinds = ["screen", "output", "size", "ended"] as const;
/** an ended frame holds at most 1 MiB of arguments, escaped */
const limits = { screen: 4, output: 65_536, size: 4, ended: 8 * 1024 * 1024 } as const;

/** Cuts a byte stream into frames; throws `agent_failed` on anything that is not one. */
export async function* cutTerminalFrames(
  source: AsyncIterable<Buffer>,
): AsyncGenerator<TerminalFrame, void, undefined> {
  const rest = new Assembly();
  for await (const chunk of source) {
    if (rest.length > 0) rest.put(chunk);
    // whole frames are read where they are
    const held = rest.length > 0 ? rest.bytes : chunk;
    let at = 0;
    while (held.length - at >= headerBytes) {
      const kind = kinds[held.readUInt8(at) - 1];
      const length = held.readUInt32BE(at + 4);
      if (kind === undefined || length > limits[kind]) throw nonsense("a frame of an unknown kind or size");
      if (held.length - at < headerBytes + length) break;
      yield toFrame(kind, held.subarray(at + headerBytes, at + headerBytes + length));
      at += headerBytes + length;
    }
    if (rest.length > 0) rest.drop(at);
    else rest.put(held.subarray(at));
  }
  if (rest.length > 0) throw nonsense("a stream that ends inside a frame");
}

function toFrame(kind: (typeof kinds)[number], payload: Buffer): TerminalFrame {
  if (kind === "output") return { kind, bytes: payload };
  if (kind === "ended") return { kind, terminal: toTerminal(payload) };
  if (payload.length !== 4) throw nonsense("a size of a wrong length");
  const [columns, rows] = [payload.readUInt16BE(0), payload.readUInt16BE(2)];
  if (![columns, rows].every((side) => side >= 1 && side <= 1000)) throw nonsense(`a size of ${columns}×${rows}`);
  return { kind, columns, rows };
}

function toTerminal(payload: Buffer): Terminal {
  try {
    return Terminal.parse(JSON.parse(payload.toString("utf8")));
  } catch {
    throw nonsense("an ended frame without a terminal");
  }
}

function nonsense(what: string): WorkfortError {
  return new WorkfortError("agent_failed", `the agent sent ${what} on a terminal's stream`);
}
