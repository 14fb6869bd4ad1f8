import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { assemble, Assembly } from "../../src/assembly.ts";

test("what was put and not dropped is there in order, and what was given out stays as it was", () => {
  const steps = fc.array(fc.oneof(fc.uint8Array({ maxLength: 3000 }), fc.nat(3000)), { maxLength: 50 });
  fc.assert(
    fc.property(steps, (done) => {
      const assembly = new Assembly();
      let expected = Buffer.alloc(0);
      const given: [Buffer, Buffer][] = [];
      for (const step of done) {
        if (typeof step === "number") {
          const length = Math.min(step, expected.length);
          assembly.drop(length);
          expected = expected.subarray(length);
        } else {
          assembly.put(step);
          expected = Buffer.concat([expected, step]);
        }
        assert.equal(assembly.length, expected.length);
        given.push([assembly.bytes, Buffer.from(expected)]);
      }
      for (const [bytes, then] of given) assert.ok(bytes.equals(then));
    }),
  );
});

test("a source is put together up to a bound, and read no further", async () => {
  let read = 0;
  async function* source(): AsyncGenerator<Uint8Array> {
    for (; read < 100; read += 1) yield Buffer.from([read]);
  }
  assert.equal(await assemble(source(), 10), null);
  assert.equal(read, 10);
  assert.deepEqual(
    [...((await assemble(source(), 90)) ?? [])],
    Array.from({ length: 90 }, (_, index) => 10 + index),
  );
});

test("pieces that are corners of large buffers hold nothing of these", async () => {
  async function* corners(): AsyncGenerator<Uint8Array> {
    for (let count = 0; count < 10_000; count += 1) yield Buffer.allocUnsafeSlow(65_536).subarray(0, 1);
  }
  const bytes = await assemble(corners(), 20_000);
  assert.ok(bytes !== null && bytes.buffer.byteLength < 100_000);
});
