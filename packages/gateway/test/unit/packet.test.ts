import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { packetsIn } from "../../src/denials/netfilter-log.ts";
import { endsOf } from "../../src/denials/packet.ts";

const ipv4 = Buffer.from("4500003c1c4640004006b1e60a d50002c6336 40a".replaceAll(" ", ""), "hex");

test("packets tell their ends; what has no ports, or comes after the first fragment, tells none", () => {
  const ports = Buffer.from([0x9c, 0x40, 0x01, 0xbb]);
  const ends = { source: "10.213.0.2", destination: "198.51.100.10" };
  assert.deepEqual(endsOf(0x0800, Buffer.concat([ipv4, ports])), { ...ends, port: 443, protocol: "tcp" });
  const fragment = Buffer.concat([ipv4, ports]);
  fragment.writeUInt16BE(0x2001, 6);
  assert.deepEqual(endsOf(0x0800, fragment), { ...ends, port: null, protocol: "tcp" });
  const ipv6 = Buffer.alloc(40 + 8 + 4);
  ipv6[0] = 0x60;
  ipv6[6] = 60; // destination options, then UDP
  ipv6[23] = 1;
  ipv6[39] = 2;
  ipv6[40] = 17;
  ipv6.writeUInt16BE(53, 50);
  assert.deepEqual(endsOf(0x86dd, ipv6), { source: "::1", destination: "::2", port: 53, protocol: "udp" });
  assert.equal(endsOf(0x8100, ipv4), null);
});

test("bytes of any kind are read without harm", () => {
  const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
  fc.assert(
    fc.property(bytes, fc.constantFrom(0x0800, 0x0806, 0x86dd, 7), (bytes, etherType) => {
      endsOf(etherType, bytes);
      packetsIn(bytes);
    }),
    { numRuns: 2000 },
  );
});

test("a message of the kernel with several packets is taken apart", () => {
  const attribute = (type: number, value: Buffer): Buffer => {
    const bytes = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
    bytes.writeUInt16LE(4 + value.length, 0);
    bytes.writeUInt16LE(type, 2);
    value.copy(bytes, 4);
    return bytes;
  };
  const packet = (prefix: string): Buffer => {
    const body = Buffer.concat([
      Buffer.alloc(4),
      attribute(1, Buffer.from([0x08, 0x00, 2, 0])),
      attribute(10, Buffer.from(`${prefix}\0`)),
      attribute(4, Buffer.from([0, 0, 0, 7])),
      attribute(6, Buffer.from([0, 0, 0, 9])),
      attribute(9, ipv4),
    ]);
    const header = Buffer.alloc(16);
    header.writeUInt32LE(16 + body.length, 0);
    header.writeUInt16LE(4 << 8, 4);
    return Buffer.concat([header, body]);
  };
  const packets = packetsIn(Buffer.concat([packet("deny"), packet("spoof")]));
  assert.deepEqual(
    packets.map(({ prefix, etherType, interfaceIndex }) => [prefix, etherType, interfaceIndex]),
    [
      ["deny", 0x0800, 9],
      ["spoof", 0x0800, 9],
    ],
  );
  assert.deepEqual(packets[0]?.payload, ipv4);
});
