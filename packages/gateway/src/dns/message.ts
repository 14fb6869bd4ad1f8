import { DnsFormatError, nameBytes, readName } from "./name.ts";
import { readRecord, recordType, type DnsRecord } from "./record.ts";

/**
 * Messages of DNS (RFC 1035, 6891, 8914), read and written. What is read comes from guests and from anybody's servers:
 * every length is checked, and what is no message throws `DnsFormatError`.
 */
export interface DnsQuestion {
  /** as it was spelled */
  name: string;
  type: number;
  class: number;
}

export interface DnsMessage {
  id: number;
  response: boolean;
  opcode: number;
  authoritative: boolean;
  truncated: boolean;
  recursionDesired: boolean;
  recursionAvailable: boolean;
  authenticData: boolean;
  checkingDisabled: boolean;
  responseCode: number;
  questions: DnsQuestion[];
  answers: DnsRecord[];
  authorities: DnsRecord[];
  /** EDNS; null where the message has none */
  edns: Edns | null;
}

export interface Edns {
  /** of UDP, that its sender takes */
  payloadBytes: number;
  dnssec: boolean;
  /** extended error: a code of RFC 8914 and a text */
  extendedError?: { code: number; text: string };
}

export const responseCode = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  noSuchName: 3,
  notImplemented: 4,
  refused: 5,
} as const;

const maxRecords = 1024;
const extendedErrorOption = 15;

export function readMessage(bytes: Buffer): DnsMessage {
  if (bytes.length < 12) throw new DnsFormatError("shorter than a header");
  const flags = bytes.readUInt16BE(2);
  const counts = [4, 6, 8, 10].map((at) => bytes.readUInt16BE(at));
  const [questionCount = 0, answerCount = 0, authorityCount = 0, additionalCount = 0] = counts;
  if (questionCount > 1 || answerCount + authorityCount + additionalCount > maxRecords)
    throw new DnsFormatError("more questions or records than anybody needs");
  let at = 12;
  const questions: DnsQuestion[] = [];
  for (let count = 0; count < questionCount; count += 1) {
    const { name, end } = readName(bytes, at);
    if (end + 4 > bytes.length) throw new DnsFormatError("a question is cut off");
    questions.push({ name, type: bytes.readUInt16BE(end), class: bytes.readUInt16BE(end + 2) });
    at = end + 4;
  }
  const truncated = (flags & 0x0200) !== 0;
  const section = (count: number): DnsRecord[] =>
    Array.from({ length: count }, () => {
      const { record, end } = readRecord(bytes, at);
      at = end;
      return record;
    });
  const answers = truncated ? [] : section(answerCount);
  const authorities = truncated ? [] : section(authorityCount);
  const additionals = truncated ? [] : section(additionalCount);
  return {
    id: bytes.readUInt16BE(0),
    response: (flags & 0x8000) !== 0,
    opcode: (flags >> 11) & 15,
    authoritative: (flags & 0x0400) !== 0,
    truncated,
    recursionDesired: (flags & 0x0100) !== 0,
    recursionAvailable: (flags & 0x0080) !== 0,
    authenticData: (flags & 0x0020) !== 0,
    checkingDisabled: (flags & 0x0010) !== 0,
    responseCode: flags & 15,
    questions,
    answers,
    authorities,
    edns: ednsOf(additionals),
  };
}

export function writeMessage(message: DnsMessage): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(message.id, 0);
  header.writeUInt16BE(flagsOf(message), 2);
  const { questions, answers, authorities, edns } = message;
  [questions.length, answers.length, authorities.length, edns === null ? 0 : 1].forEach((count, index) =>
    header.writeUInt16BE(count, 4 + 2 * index),
  );
  const asked = questions[0]?.name.toLowerCase();
  return Buffer.concat([
    header,
    ...questions.map(({ name, type, class: ofClass }) => {
      const fixed = Buffer.alloc(4);
      fixed.writeUInt16BE(type, 0);
      fixed.writeUInt16BE(ofClass, 2);
      return Buffer.concat([nameBytes(name), fixed]);
    }),
    ...[...answers, ...authorities].map((record) => recordBytes(record, asked)),
    ...(edns === null ? [] : [ednsBytes(edns)]),
  ]);
}

/** The answer to a question, empty as yet. */
export function answerTo(query: DnsMessage, responseCode: number): DnsMessage {
  return {
    ...query,
    response: true,
    authoritative: false,
    truncated: false,
    recursionAvailable: true,
    authenticData: false,
    responseCode,
    answers: [],
    authorities: [],
    edns: query.edns === null ? null : { payloadBytes: 1232, dnssec: query.edns.dnssec },
  };
}

function flagsOf(message: DnsMessage): number {
  const bits: [boolean, number][] = [
    [message.response, 0x8000],
    [message.authoritative, 0x0400],
    [message.truncated, 0x0200],
    [message.recursionDesired, 0x0100],
    [message.recursionAvailable, 0x0080],
    [message.authenticData, 0x0020],
    [message.checkingDisabled, 0x0010],
  ];
  const flags = bits.reduce((sum, [set, bit]) => (set ? sum | bit : sum), 0);
  return flags | (message.opcode << 11) | (message.responseCode & 15);
}

/** A record of the name that was asked for points to the question instead of repeating it. */
function recordBytes({ name, type, class: ofClass, ttl, data }: DnsRecord, asked: string | undefined): Buffer {
  const owner = name.toLowerCase() === asked && name !== "" ? Buffer.from([0xc0, 12]) : nameBytes(name);
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(ofClass, 2);
  fixed.writeUInt32BE(ttl >>> 0, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([owner, fixed, data]);
}

function ednsOf(additionals: readonly DnsRecord[]): Edns | null {
  const record = additionals.find(({ type }) => type === recordType.opt);
  return record === undefined ? null : { payloadBytes: record.class, dnssec: (record.ttl & 0x8000) !== 0 };
}

function ednsBytes({ payloadBytes, dnssec, extendedError }: Edns): Buffer {
  const options: Buffer[] = [];
  if (extendedError !== undefined) {
    const text = Buffer.from(extendedError.text, "utf8").subarray(0, 256);
    const head = Buffer.alloc(6);
    head.writeUInt16BE(extendedErrorOption, 0);
    head.writeUInt16BE(2 + text.length, 2);
    head.writeUInt16BE(extendedError.code, 4);
    options.push(head, text);
  }
  const data = Buffer.concat(options);
  return recordBytes(
    { name: "", type: recordType.opt, class: payloadBytes, ttl: dnssec ? 0x8000 : 0, data },
    undefined,
  );
}
