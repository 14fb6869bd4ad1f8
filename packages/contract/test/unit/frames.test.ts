import assert from "node:assert/strict";
import { test } from "node:test";
import { cutFrames, OutputStreamError, type OutputFrame } from "@workfort/contract/output-frames";
import * as fc from "fast-check";

const kinds = { stdout: 1, stderr: 2, process: 3, gap: 4 } as const;

/** a frame as codex/reference/guest-protocol.md lays it out */
function encode(kind: keyof typeof kinds, offset: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt8(kinds[kind], 0);
  head.writeUInt32BE(payload.length, 4);
  head.writeBigUInt64BE(BigInt(offset), 8);
  return Buffer.concat([head, payload]);
}

async function* inPieces(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0;
  for (let turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? bytes.length;
    yield bytes.subarray(at, (at += size));
    await Promise.resolve();
  }
}

const read = (bytes: Buffer, sizes: readonly number[] = [bytes.length || 1]): Promise<OutputFrame[]> =>
  Array.fromAsync(cutFrames(inPieces(bytes, sizes), (json) => json as never));

const frame = fc.oneof(
  fc.record({
    kind: fc.constantFrom("stdout" as const, "stderr" as const),
    offset: fc.maxSafeNat(),
    bytes: fc.uint8Array({ maxLength: 300 }),
  }),
  fc.record({ kind: fc.constant("gap" as const), offset: fc.maxSafeNat() }),
  fc.record({ kind: fc.constant("process" as const), process: fc.record({ id: fc.string() }) }),
);

test("frames come out as they went in, wherever the bytes are cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(frame),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
      async (frames, sizes) => {
        const bytes = frames.map((one) =>
          one.kind === "process"
            ? encode("process", 0, Buffer.from(JSON.stringify(one.process)))
            : encode(one.kind, one.offset, "bytes" in one ? one.bytes : Buffer.alloc(0)),
        );
        const found = await read(Buffer.concat(bytes), sizes);
        const plain = found.map((one) => ("bytes" in one ? { ...one, bytes: new Uint8Array(one.bytes) } : one));
        assert.deepEqual(plain, structuredClone(frames));
      },
    ),
  );
});

test("a stream that ends inside a frame, holds another kind or is too large is refused", async () => {
  const whole = encode("stdout", 0, Buffer.from("hello"));
  for (let length = 1; length < whole.length; length += 1)
    await assert.rejects(read(whole.subarray(0, length)), OutputStreamError);
  await assert.rejects(read(Buffer.alloc(16, 9)), /unknown frame kind 9/);
  const tooLong = encode("stderr", 0, Buffer.alloc(0));
  tooLong.writeUInt32BE(65_537, 4);
  await assert.rejects(read(tooLong), /over the limit of 65536/);
  await assert.rejects(read(encode("gap", 0, Buffer.alloc(1))), /over the limit of 0/);
  await assert.rejects(read(encode("process", 0, Buffer.from("{"))), /does not hold JSON/);
  const farAway = encode("stdout", 0, Buffer.alloc(0));
  farAway.writeBigUInt64BE(2n ** 60n, 8);
  await assert.rejects(read(farAway), /over 2\^53/);
});

test("whatever a guest sends, the reader ends with frames or with its own error", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (bytes) => {
      await read(Buffer.from(bytes)).catch((error: unknown) =>
        assert.ok(error instanceof OutputStreamError, String(error)),
      );
    }),
  );
});
