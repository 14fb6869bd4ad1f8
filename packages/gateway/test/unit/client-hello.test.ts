import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { HelloReader, type HelloReading } from "../../src/check/client-hello.ts";
import { helloMessage, inRecords } from "../lab/hello.ts";

/** Gives bytes in pieces of these sizes, over and over, until something is known. */
function read(bytes: Buffer, sizes: readonly number[] = [bytes.length || 1]): HelloReading {
  const reader = new HelloReader();
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    const reading = reader.push(bytes.subarray(at, at + size));
    if (reading !== null) return reading;
    at += size;
  }
  return null;
}

test("the name is found however records and segments are cut", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 });
  const name = fc.stringMatching(/^[a-z]{1,20}\.example$/);
  fc.assert(
    fc.property(
      name,
      fc.boolean(),
      fc.nat(2000),
      fc.integer({ min: 1, max: 3000 }),
      sizes,
      (serverName, encryptedHello, padding, recordBytes, sizes) => {
        const bytes = inRecords(helloMessage({ serverName, encryptedHello, padding }), recordBytes);
        assert.deepEqual(read(bytes, sizes), { serverName, encryptedHello });
        assert.equal(read(bytes.subarray(0, -1), sizes), null);
      },
    ),
  );
});

test("bytes of any kind are a hello or none, and nothing else happens", () => {
  const whole = inRecords(helloMessage({ serverName: "a.example", encryptedHello: true }));
  const spoiled = fc
    .array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 })
    .map((changes) => {
      const bytes = Buffer.from(whole);
      for (const [at, byte] of changes) bytes[at] = byte;
      return bytes;
    });
  const any = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.oneof(any, spoiled), (bytes) => {
      const reading = read(bytes);
      assert.ok(reading === null || "wrong" in reading || typeof reading.encryptedHello === "boolean");
      assert.deepEqual(read(bytes, [1]), reading, "however it comes");
    }),
    { numRuns: 2000 },
  );
});

test("what is said twice, too long or no hello is refused", () => {
  const wrong = (bytes: Buffer): string => {
    const reading = read(bytes);
    return reading !== null && "wrong" in reading ? reading.wrong : JSON.stringify(reading);
  };
  assert.match(wrong(inRecords(helloMessage({ serverName: "a.example", twice: true }))), /comes twice/);
  assert.match(wrong(Buffer.from("GET / HTTP/1.1\r\n")), /not TLS/);
  assert.match(wrong(Buffer.from([22, 3, 1, 0, 0])), /impossible length/);
  assert.match(wrong(Buffer.from([22, 3, 1, 0xff, 0xff])), /impossible length/);
  assert.match(wrong(inRecords(Buffer.from([1, 0xff, 0, 0]))), /too long/);
  assert.match(wrong(inRecords(Buffer.from([2, 0, 0, 0]))), /does not begin/);
});
