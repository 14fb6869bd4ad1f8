import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, isIPv6, type Socket } from "node:net";
import { readQuestion, recordTypes, writeAnswer, type Question, type RecordType } from "./dns-message.ts";
import type { DnsAnswer, DnsQuery, DnsZone } from "./dns-zone.ts";

/** Answers names on port 53 of an address, over UDP and TCP. */
export async function serveNames(zone: DnsZone, address: string): Promise<void> {
  const udp = createSocket({ type: isIPv6(address) ? "udp6" : "udp4", ipv6Only: isIPv6(address) });
  udp.on("message", (message, from) => {
    void answerTo(zone, message, { transport: "udp", from: from.address, at: address }).then((answer) => {
      if (answer !== null) udp.send(answer, from.port, from.address);
    });
  });
  udp.bind(53, address);
  await once(udp, "listening");
  const tcp = createServer((socket) => serveNameStream(zone, socket, "tcp", address));
  await once(tcp.listen(53, address), "listening");
}

/** Answers what comes over a stream, where each message has its length before it. */
export function serveNameStream(zone: DnsZone, socket: Socket, transport: "tcp" | "tls", at: string): void {
  let pending: Buffer = Buffer.alloc(0);
  const from = socket.remoteAddress ?? "";
  socket.on("error", () => {});
  socket.on("data", (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
      const message = pending.subarray(2, 2 + pending.readUInt16BE(0));
      pending = pending.subarray(2 + message.length);
      void answerTo(zone, message, { transport, from, at }).then((answer) => {
        if (answer === null) return;
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        socket.write(Buffer.concat([length, answer]));
      });
    }
  });
}

/** What is sent back for a message; null for nothing. */
export async function answerTo(
  zone: DnsZone,
  message: Buffer,
  way: Pick<DnsQuery, "transport" | "from" | "at">,
): Promise<Buffer | null> {
  const question = readQuestion(message);
  if (question === null) return null;
  const type = Object.entries(recordTypes).find(([, number]) => number === question.type)?.[0] ?? String(question.type);
  const answer = zone.answer({ name: question.name, type, ...way });
  if (answer.delayMs !== undefined) await new Promise((later) => setTimeout(later, answer.delayMs));
  return writeFaulty(question, answer, way.transport === "udp");
}

function writeFaulty(question: Question, answer: DnsAnswer, overUdp: boolean): Buffer | null {
  const { fault } = answer;
  if (fault === "silent") return null;
  if (fault === "garbage") return Buffer.alloc(40, 0xff);
  const asked =
    fault === "wrong-id"
      ? { ...question, id: question.id ^ 0x55_55 }
      : fault === "wrong-question"
        ? { ...question, name: `not-${question.name}` }
        : question;
  const whole = writeAnswer(asked, answer.code ?? 0, matching(question, answer));
  if (fault === "cut") return whole.subarray(0, -3);
  if (fault === "loop") return Buffer.concat([whole.subarray(0, 12), Buffer.from([0xc0, 12]), whole.subarray(12)]);
  if (!overUdp || (fault !== "tcp-only" && whole.length <= question.room)) return whole;
  const short = writeAnswer(asked, answer.code ?? 0, []);
  short.writeUInt16BE(short.readUInt16BE(2) | 0x02_00, 2); // truncated
  return short;
}

/** The records that answer this question, with the aliases that lead to them. */
function matching(
  question: Question,
  answer: DnsAnswer,
): { name: string; type: RecordType; data: string; ttl: number }[] {
  return (answer.records ?? [])
    .filter(({ type }) => type === "CNAME" || recordTypes[type] === question.type)
    .map(({ name, type, data, ttl }) => ({ name: name ?? question.name, type, data, ttl: ttl ?? 60 }));
}
