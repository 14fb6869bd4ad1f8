import { randomBytes } from "node:crypto";

/** ClientHellos as clients make them (RFC 8446), and such as they should not. */

export interface HelloOptions {
  /** null for a hello without a name */
  name: string | null;
  /** with the extension `encrypted_client_hello` (its outer form) */
  encrypted?: boolean;
  /** bytes of handshake in each TLS record, so that the name is torn apart; by default all in one */
  recordBytes?: number;
}

export function clientHello({ name, encrypted = false, recordBytes = 16_384 }: HelloOptions): Buffer {
  const extensions = Buffer.concat([
    ...(name === null
      ? []
      : [extension(0, counted(2, Buffer.concat([Buffer.from([0]), counted(2, Buffer.from(name))])))]),
    extension(10, counted(2, Buffer.from([0, 0x1d, 0, 0x17]))), // x25519, secp256r1
    extension(13, counted(2, Buffer.from([4, 3, 8, 4, 4, 1, 5, 3]))),
    extension(43, counted(1, Buffer.from([3, 4, 3, 3]))),
    extension(51, counted(2, Buffer.concat([Buffer.from([0, 0x1d]), counted(2, randomBytes(32))]))),
    ...(encrypted ? [extension(0xfe_0d, outerEncryptedHello())] : []),
  ]);
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    randomBytes(32),
    counted(1, randomBytes(32)),
    counted(2, Buffer.from([0x13, 1, 0x13, 2, 0xc0, 0x2b, 0xc0, 0x2f])),
    counted(1, Buffer.from([0])),
    counted(2, extensions),
  ]);
  const handshake = Buffer.concat([Buffer.from([1]), counted(3, body)]);
  const records: Buffer[] = [];
  for (let at = 0; at < handshake.length; at += recordBytes)
    records.push(Buffer.concat([Buffer.from([22, 3, 1]), counted(2, handshake.subarray(at, at + recordBytes))]));
  return Buffer.concat(records);
}

/** What a server said to a hello: `hello`, `alert N`, or `nothing`. */
export function readHelloAnswer(bytes: Buffer): string {
  if (bytes[0] === 22) return "hello";
  if (bytes[0] === 21) return `alert ${bytes[6]}`;
  return bytes.length === 0 ? "nothing" : `bytes ${bytes.toString("hex", 0, 20)}`;
}

/** outer, HKDF-SHA256 with AES-128-GCM, configuration 7, a key, a payload that nobody can read */
function outerEncryptedHello(): Buffer {
  const head = Buffer.from([0, 0, 1, 0, 1, 7]);
  return Buffer.concat([head, counted(2, randomBytes(32)), counted(2, randomBytes(128))]);
}

function extension(type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(type);
  return Buffer.concat([head, counted(2, data)]);
}

/** Bytes behind their length, which itself takes `size` bytes. */
function counted(size: number, bytes: Buffer): Buffer {
  const length = Buffer.alloc(size);
  length.writeUIntBE(bytes.length, 0, size);
  return Buffer.concat([length, bytes]);
}
