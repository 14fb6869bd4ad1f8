import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { answerTo, readMessage, writeMessage, type DnsMessage } from "../../src/dns/message.ts";
import { DnsFormatError, nameBytes, readName } from "../../src/dns/name.ts";
import { addressOf, addressRecord, recordType, targetOf } from "../../src/dns/record.ts";
import { withoutEncryptedHello } from "../../src/dns/svcb.ts";

const label = fc.uint8Array({ minLength: 1, maxLength: 20 });
const name = fc.array(label, { maxLength: 6 }).map((labels) => {
  const wire = Buffer.concat([
    ...labels.flatMap((bytes) => [Buffer.from([bytes.length]), Buffer.from(bytes)]),
    Buffer.from([0]),
  ]);
  return readName(wire, 0).name;
});
const query = (name: string): DnsMessage => ({
  ...answerTo(readMessage(Buffer.alloc(12)), 0),
  id: 7,
  response: false,
  questions: [{ name, type: 1, class: 1 }],
});

test("names of any bytes read and write as themselves", () => {
  fc.assert(
    fc.property(name, (name) => {
      assert.equal(readName(nameBytes(name), 0).name, name);
    }),
  );
});

test("messages read and write as themselves", () => {
  const record = fc.oneof(
    fc.tuple(name, fc.oneof(fc.ipV4(), fc.ipV6())).map(([name, address]) => addressRecord(name, address, 60)),
    fc.tuple(name, name).map(([name, to]) => ({ name, type: 5, class: 1, ttl: 9, data: nameBytes(to) })),
    fc
      .tuple(name, fc.uint8Array({ maxLength: 50 }))
      .map(([name, data]) => ({ name, type: 16, class: 1, ttl: 1, data: Buffer.from(data) })),
  );
  fc.assert(
    fc.property(name, fc.array(record, { maxLength: 8 }), (name, answers) => {
      const edns = { payloadBytes: 1232, dnssec: true };
      const message = { ...query(name), response: true, answers, edns };
      const { answers: read, ...rest } = readMessage(writeMessage(message));
      assert.deepEqual({ ...rest, answers: [] }, { ...message, answers: [] });
      const lower = (text: string): string => text.toLowerCase(); // an owner may be written as it was asked for
      assert.deepEqual(
        read.map((record) => ({ ...record, name: lower(record.name) })),
        answers.map((record) => ({ ...record, name: lower(record.name) })),
      );
    }),
  );
});

test("bytes of any kind are a message or none, and nothing else happens", () => {
  const valid = writeMessage({ ...query("a.example"), answers: [addressRecord("a.example", "192.0.2.1", 5)] });
  const spoiled = fc
    .array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 })
    .map((changes) => {
      const bytes = Buffer.from(valid);
      for (const [at, byte] of changes) bytes[at] = byte;
      return bytes;
    });
  const any = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.oneof(any, spoiled), (bytes) => {
      try {
        for (const record of readMessage(bytes).answers) {
          addressOf(record);
          withoutEncryptedHello(record);
          if (record.type === recordType.cname) targetOf(record);
        }
      } catch (error) {
        assert.ok(error instanceof DnsFormatError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

test("pointers that lead round, forward or on and on are refused", () => {
  const header = Buffer.concat([Buffer.alloc(4), Buffer.from([0, 1, 0, 0, 0, 0, 0, 0])]);
  const loops = [
    [0xc0, 12],
    [1, 97, 0xc0, 12],
    [0xc0, 14, 0xc0, 12],
    [0xff, 0xff],
    [0x40, 0],
    [63, 97],
  ];
  for (const bytes of loops)
    assert.throws(() => readMessage(Buffer.concat([header, Buffer.from([...bytes, 0, 1, 0, 1])])), DnsFormatError);
  // pointers that only lead back, one to the next
  const chain = Buffer.concat([
    Buffer.from([0, 0]),
    ...Array.from({ length: 200 }, (_, index) => Buffer.from([0xc0, index * 2])),
  ]);
  assert.throws(() => readName(chain, chain.length - 2), DnsFormatError);
});

test("a message that announces more than anybody needs is refused before it is read", () => {
  assert.throws(() => readMessage(Buffer.from([0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])), DnsFormatError);
  assert.throws(() => readMessage(Buffer.from([0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0])), DnsFormatError);
});
