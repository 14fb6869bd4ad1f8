import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import * as fc from "fast-check";
import { cutTerminalFrames, type TerminalFrame } from "../../src/terminal-frames.ts";

/** The stream of a hostile guest. */

const terminal = {
  id: "main",
  pid: 7,
  argv: ["sh"],
  cwd: "/",
  user: "root",
  state: "ended",
  exitCode: 3,
  signal: null,
  startedAt: 1,
  endedAt: 2,
  columns: 80,
  rows: 24,
  title: "",
  viewers: 1,
} as const;

function frame(kind: number, payload: Buffer | string): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt8(kind, 0);
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, Buffer.from(payload)]);
}

const size = (columns: number, rows: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16BE(columns, 0);
  bytes.writeUInt16BE(rows, 2);
  return bytes;
};

const cut = (...chunks: Buffer[]): Promise<TerminalFrame[]> =>
  Array.fromAsync(cutTerminalFrames(Readable.from(chunks)));

test("frames come out as they went in, however they are cut", async () => {
  const whole = Buffer.concat([
    frame(1, size(80, 24)),
    frame(2, "hello"),
    frame(3, size(1000, 1)),
    frame(4, JSON.stringify(terminal)),
  ]);
  const expected = [
    { kind: "screen", columns: 80, rows: 24 },
    { kind: "output", bytes: Buffer.from("hello") },
    { kind: "size", columns: 1000, rows: 1 },
    { kind: "ended", terminal },
  ];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: whole.length - 1 }), { maxLength: 8 }), async (places) => {
      const ends = [...new Set(places), whole.length].toSorted((a, b) => a - b);
      const chunks = ends.map((end, index) => whole.subarray(ends[index - 1] ?? 0, end));
      assert.deepEqual(await cut(...chunks), expected);
    }),
  );
});

test("what is no frame is refused, and nothing is kept of it", async () => {
  const huge = Buffer.alloc(16);
  huge.writeUInt8(2, 0);
  huge.writeUInt32BE(65_537, 4);
  const refused = [
    frame(0, ""),
    frame(5, ""),
    huge,
    frame(1, size(0, 24)),
    frame(1, size(80, 1001)),
    frame(3, "abc"),
    frame(4, "{"),
    frame(4, JSON.stringify({ ...terminal, columns: 0 })),
    frame(4, JSON.stringify({ ...terminal, title: "x".repeat(2000) })),
    frame(2, "hello").subarray(0, 18),
  ];
  for (const bytes of refused) await assert.rejects(cut(bytes), { code: "agent_failed" }, bytes.toString("hex"));
});

test("random bytes end with a refusal or with nothing", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      await cut(Buffer.from(bytes)).catch((error: unknown) =>
        assert.equal((error as { code?: string }).code, "agent_failed"),
      );
    }),
  );
});
