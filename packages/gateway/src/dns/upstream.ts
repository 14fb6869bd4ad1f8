import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import { DnsFormatError } from "./name.ts";
import { readMessage, writeMessage, type DnsMessage, type DnsQuestion } from "./message.ts";

/** for one server's answer, ms */
const attemptMs = 2_500;
/** tries over all servers */
const maxAttempts = 4;
/** what we take by UDP without fragments (DNS flag day 2020) */
const payloadBytes = 1232;
/** datagrams that are not the answer, before an attempt is given up */
const maxStrays = 32;

/** what was asked for, beside the question itself */
export interface AskOptions {
  dnssec: boolean;
  checkingDisabled: boolean;
}

/** The resolvers that our own asks. A port and an id of its own for each question, as both have to be guessed. */
export class Upstream {
  #servers: { address: string; port: number }[] = [];

  /** `address` or `address:port`, `[address]:port` */
  setServers(servers: readonly string[]): void {
    this.#servers = servers.flatMap((text) => serverOf(text) ?? []);
  }

  /** The first answer that there is, of whichever server. */
  async ask(question: DnsQuestion, options: AskOptions): Promise<DnsMessage> {
    let failure: unknown = new Error("no DNS server is configured");
    let refused: DnsMessage | null = null;
    const servers = this.#servers;
    for (let attempt = 0; attempt < Math.min(maxAttempts, servers.length * 2); attempt += 1) {
      const server = servers[attempt % servers.length];
      if (server === undefined) break;
      const query = queryFor(question, options);
      try {
        const overUdp = await askUdp(server, query);
        const answer = overUdp.truncated ? await askTcp(server, query) : overUdp;
        if (answer.responseCode === 0 || answer.responseCode === 3) return answer;
        refused = answer; // another server may know more
      } catch (error) {
        failure = error;
      }
    }
    if (refused !== null) return refused;
    throw failure;
  }
}

function queryFor(question: DnsQuestion, { dnssec, checkingDisabled }: AskOptions): DnsMessage {
  return {
    id: randomInt(65_536),
    response: false,
    opcode: 0,
    authoritative: false,
    truncated: false,
    recursionDesired: true,
    recursionAvailable: false,
    authenticData: true, // we understand it
    checkingDisabled,
    responseCode: 0,
    questions: [question],
    answers: [],
    authorities: [],
    edns: { payloadBytes, dnssec },
  };
}

async function askUdp(server: { address: string; port: number }, query: DnsMessage): Promise<DnsMessage> {
  const socket = createSocket(isIPv6(server.address) ? "udp6" : "udp4");
  const { promise, resolve, reject } = Promise.withResolvers<DnsMessage>();
  const timer = setTimeout(() => reject(new Error(`${server.address} does not answer`)), attemptMs);
  let strays = 0;
  socket.on("error", reject);
  socket.on("message", (bytes) => {
    const answer = answerIn(bytes, query);
    if (answer !== null) resolve(answer);
    else if ((strays += 1) > maxStrays) reject(new Error(`${server.address} answers nonsense`));
  });
  try {
    // a connected socket takes nothing from anybody else
    socket.connect(server.port, server.address, () => {
      socket.send(writeMessage(query), (error) => {
        if (error !== null) reject(error);
      });
    });
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.close();
  }
}

async function askTcp(server: { address: string; port: number }, query: DnsMessage): Promise<DnsMessage> {
  const socket = connect({ host: server.address, port: server.port });
  const { promise, resolve, reject } = Promise.withResolvers<DnsMessage>();
  const timer = setTimeout(() => reject(new Error(`${server.address} does not answer by TCP`)), attemptMs);
  let held = Buffer.alloc(0);
  socket.on("error", reject);
  socket.on("close", () => reject(new Error(`${server.address} closed the connection without an answer`)));
  socket.on("data", (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    if (held.length < 2 || held.length < 2 + held.readUInt16BE(0)) return;
    const answer = answerIn(held.subarray(2, 2 + held.readUInt16BE(0)), query);
    if (answer === null) reject(new Error(`${server.address} answers nonsense`));
    else resolve(answer);
  });
  const bytes = writeMessage(query);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  socket.write(Buffer.concat([length, bytes]));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

/** The message, if it is the answer to this query. */
function answerIn(bytes: Buffer, query: DnsMessage): DnsMessage | null {
  try {
    const answer = readMessage(bytes);
    const [asked] = query.questions;
    const [echoed] = answer.questions;
    const same =
      answer.response &&
      answer.id === query.id &&
      echoed?.name.toLowerCase() === asked?.name.toLowerCase() &&
      echoed?.type === asked?.type &&
      echoed?.class === asked?.class;
    return same ? answer : null;
  } catch (error) {
    if (error instanceof DnsFormatError) return null;
    throw error;
  }
}

function serverOf(text: string): { address: string; port: number } | null {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(text) ?? [];
  const address = bracketed ?? plain ?? (isIPv6(text) ? text : null);
  return address === null ? null : { address, port: Number(port ?? 53) };
}
