/** ClientHellos made by hand. */

interface HelloParts {
  serverName?: string | Buffer | null;
  encryptedHello?: boolean;
  /** extensions of no meaning, bytes */
  padding?: number;
  twice?: boolean;
}

/** The handshake message, without records. */
export function helloMessage({
  serverName = null,
  encryptedHello = false,
  padding = 0,
  twice = false,
}: HelloParts): Buffer {
  const extensions: Buffer[] = [];
  if (padding > 0) extensions.push(extension(21, Buffer.alloc(padding)));
  if (serverName !== null) {
    const name = Buffer.from(serverName as string, "latin1");
    const entry = Buffer.concat([Buffer.from([0]), sized(2, name)]);
    extensions.push(extension(0, sized(2, entry)));
    if (twice) extensions.push(extension(0, sized(2, entry)));
  }
  if (encryptedHello) extensions.push(extension(0xfe0d, Buffer.alloc(40)));
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    sized(1, Buffer.alloc(32)),
    sized(2, Buffer.from([0x13, 0x01])),
    sized(1, Buffer.from([0])),
    sized(2, Buffer.concat(extensions)),
  ]);
  return Buffer.concat([Buffer.from([1, 0]), sized(2, body)]);
}

/** The message in records of at most so many bytes. */
export function inRecords(message: Buffer, recordBytes = 16_384): Buffer {
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += recordBytes)
    records.push(Buffer.from([22, 3, 1]), sized(2, message.subarray(at, at + recordBytes)));
  return Buffer.concat(records);
}

function extension(type: number, data: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type >> 8, type & 255]), sized(2, data)]);
}

function sized(bytes: 1 | 2, data: Buffer): Buffer {
  const length = Buffer.alloc(bytes);
  length.writeUIntBE(data.length, 0, bytes);
  return Buffer.concat([length, data]);
}
