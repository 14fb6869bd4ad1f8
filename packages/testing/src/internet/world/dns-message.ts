/** Messages of DNS (RFC 1035), as far as the tests' resolvers need them; written apart from the gateway's own. */

export const recordTypes = { A: 1, CNAME: 5, TXT: 16, AAAA: 28, HTTPS: 65, ANY: 255 } as const;
export type RecordType = keyof typeof recordTypes;

export interface Question {
  id: number;
  name: string;
  type: number;
  /** bytes that the asker takes in a datagram: 512, or what EDNS says */
  room: number;
}

export interface WireRecord {
  name: string;
  type: RecordType;
  data: string;
  ttl: number;
}

export interface ReadAnswer {
  id: number;
  code: number;
  truncated: boolean;
  records: { name: string; type: number; ttl: number; data: string }[];
  /** code of an Extended DNS Error (RFC 8914), null where there is none */
  extendedError: number | null;
}

/** type of the OPT pseudo-record (RFC 6891) */
const optType = 41;

export function writeQuestion(question: { id: number; name: string; type: RecordType; edns?: boolean }): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(question.id, 0);
  header.writeUInt16BE(0x01_00, 2); // recursion desired
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(question.edns === false ? 0 : 1, 10);
  const opt = Buffer.from([0, 0, optType, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]); // room for 1232 bytes
  const parts = [header, writeName(question.name), Buffer.from([0, recordTypes[question.type], 0, 1])];
  return Buffer.concat(question.edns === false ? parts : [...parts, opt]);
}

/** Reads a question; null where there is none. */
export function readQuestion(message: Buffer): Question | null {
  if (message.length < 17 || message.readUInt16BE(4) !== 1) return null;
  const { name, end } = readName(message, 12);
  const opt = end + 4;
  const edns = message.readUInt16BE(10) > 0 && message.length >= opt + 5 && message.readUInt16BE(opt + 1) === optType;
  return {
    id: message.readUInt16BE(0),
    name,
    type: message.readUInt16BE(end),
    room: edns ? message.readUInt16BE(opt + 3) : 512,
  };
}

export function writeAnswer(question: Question, code: number, records: readonly WireRecord[]): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(question.id, 0);
  header.writeUInt16BE(0x81_80 | code, 2); // an answer, recursion desired and available
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  const type = Buffer.alloc(4);
  type.writeUInt16BE(question.type, 0);
  type.writeUInt16BE(1, 2);
  return Buffer.concat([header, writeName(question.name), type, ...records.map((record) => writeRecord(record))]);
}

export function readAnswer(message: Buffer): ReadAnswer {
  const flags = message.readUInt16BE(2);
  let at = 12;
  for (let left = message.readUInt16BE(4); left > 0; left -= 1) at = readName(message, at).end + 4;
  const read: ReadAnswer = {
    id: message.readUInt16BE(0),
    code: flags & 0xf,
    truncated: (flags & 0x02_00) !== 0,
    records: [],
    extendedError: null,
  };
  const answers = message.readUInt16BE(6);
  const all = answers + message.readUInt16BE(8) + message.readUInt16BE(10);
  for (let index = 0; index < all && at < message.length; index += 1) {
    const { name, end } = readName(message, at);
    const type = message.readUInt16BE(end);
    const length = message.readUInt16BE(end + 8);
    const data = end + 10;
    if (index < answers)
      read.records.push({
        name,
        type,
        ttl: message.readUInt32BE(end + 4),
        data: readData(message, type, data, length),
      });
    if (type === optType && length >= 6 && message.readUInt16BE(data) === 15)
      read.extendedError = message.readUInt16BE(data + 4);
    at = data + length;
  }
  return read;
}

function writeName(name: string): Buffer {
  const labels = name.split(".").filter((label) => label !== "");
  return Buffer.concat([
    ...labels.flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]),
    Buffer.from([0]),
  ]);
}

function readName(message: Buffer, from: number): { name: string; end: number } {
  const labels: string[] = [];
  let at = from;
  let end: number | null = null;
  for (let hops = 0; hops < 128; hops += 1) {
    const length = message[at] ?? 0;
    if (length === 0) return { name: labels.join("."), end: end ?? at + 1 };
    if (length >= 0xc0) {
      end ??= at + 2;
      at = message.readUInt16BE(at) & 0x3f_ff;
    } else {
      labels.push(message.toString("latin1", at + 1, at + 1 + length));
      at += 1 + length;
    }
  }
  throw new Error("a name without end");
}

function writeRecord(record: WireRecord): Buffer {
  const data = writeData(record);
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(recordTypes[record.type], 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(record.ttl, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([writeName(record.name), fixed, data]);
}

function writeData({ type, data }: WireRecord): Buffer {
  if (type === "A") return Buffer.from(data.split(".").map(Number));
  if (type === "AAAA") return ipv6Bytes(data);
  if (type === "CNAME") return writeName(data);
  return Buffer.concat([Buffer.from([data.length]), Buffer.from(data)]);
}

function readData(message: Buffer, type: number, at: number, length: number): string {
  const bytes = message.subarray(at, at + length);
  if (type === recordTypes.A) return [...bytes].join(".");
  if (type === recordTypes.AAAA)
    return new URL(`http://[${(bytes.toString("hex").match(/.{4}/g) ?? []).join(":")}]`).hostname.slice(1, -1);
  if (type === recordTypes.CNAME) return readName(message, at).name;
  return bytes.toString("latin1");
}

export function ipv6Bytes(address: string): Buffer {
  const [head = "", tail] = address.split("::");
  const words = (text: string): string[] => text.split(":").filter((word) => word !== "");
  const [first, last] = [words(head), words(tail ?? "")];
  const middle = Array.from({ length: 8 - first.length - last.length }, () => "0");
  return Buffer.from([...first, ...middle, ...last].map((word) => word.padStart(4, "0")).join(""), "hex");
}
