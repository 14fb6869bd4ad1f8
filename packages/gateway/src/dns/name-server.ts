import { createSocket, type RemoteInfo, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, isIPv6, type Server, type Socket } from "node:net";
import { writeTo } from "../check/byte-reader.ts";
import type { Guest } from "../guest.ts";
import { answerTo, readMessage, responseCode, writeMessage, type DnsMessage } from "./message.ts";

const dnsPort = 53;
/** of a datagram with an answer: no more than passes without fragments (DNS flag day 2020) */
const maxDatagramBytes = 1232;
const minDatagramBytes = 512; // RFC 1035 4.2.1
/** questions of one guest that wait for their answers */
const maxAsking = 64;
const maxConnections = 256;
/** connections of one guest */
const maxOwnConnections = 8;
const idleMs = 10_000;

type Answer = (query: DnsMessage, guest: Guest) => Promise<DnsMessage>;

/** The DNS that guests see, on UDP and TCP of the gateway's addresses. Who asks is known by the address. */
export class NameServer {
  readonly #guestAt: (address: string) => Guest | null;
  readonly #answer: Answer;
  readonly #datagrams: UdpSocket[] = [];
  readonly #servers: Server[] = [];
  readonly #connections = new Map<Socket, Guest>();

  constructor(guestAt: (address: string) => Guest | null, answer: Answer) {
    this.#guestAt = guestAt;
    this.#answer = answer;
  }

  async listen(addresses: readonly string[]): Promise<void> {
    for (const address of addresses) {
      const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
      socket.bind(dnsPort, address);
      await once(socket, "listening");
      socket.on("error", () => {}); // of one datagram
      socket.on("message", (bytes, from) => void this.#datagram(socket, bytes, from));
      this.#datagrams.push(socket);
      const server = createServer((connection) => this.#connection(connection));
      server.maxConnections = maxConnections;
      server.listen(dnsPort, address);
      await once(server, "listening");
      this.#servers.push(server);
    }
  }

  close(): void {
    for (const socket of this.#datagrams.splice(0)) socket.close();
    for (const server of this.#servers.splice(0)) server.close();
    for (const connection of this.#connections.keys()) connection.destroy();
  }

  async #datagram(socket: UdpSocket, bytes: Buffer, from: RemoteInfo): Promise<void> {
    const guest = this.#guestAt(from.address);
    if (guest === null || !guest.queries.take()) return;
    const query = read(bytes);
    if (query === null) return;
    const answer = await this.#answered(query, guest);
    const room = Math.min(Math.max(query.edns?.payloadBytes ?? 0, minDatagramBytes), maxDatagramBytes);
    let whole = writeMessage(answer);
    if (whole.length > room) whole = writeMessage({ ...answer, truncated: true, answers: [], authorities: [] });
    try {
      socket.send(whole, from.port, from.address, () => {}); // a guest that has gone is its own affair
    } catch {
      // closed meanwhile
    }
  }

  #connection(socket: Socket): void {
    const guest = this.#guestAt(socket.remoteAddress ?? "");
    const own = [...this.#connections.values()].filter((other) => other === guest).length;
    if (guest === null || own >= maxOwnConnections) {
      socket.destroy();
      return;
    }
    this.#connections.set(socket, guest);
    socket.on("error", () => {});
    socket.on("close", () => this.#connections.delete(socket));
    socket.setTimeout(idleMs, () => socket.destroy());
    void this.#serve(socket, guest);
  }

  /** One question after the other, as they come. */
  async #serve(socket: Socket, guest: Guest): Promise<void> {
    let held = Buffer.alloc(0);
    try {
      for await (const chunk of socket as AsyncIterable<Buffer>) {
        held = Buffer.concat([held, chunk]);
        while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
          const length = held.readUInt16BE(0);
          const query = read(held.subarray(2, 2 + length));
          held = held.subarray(2 + length);
          if (query === null || !guest.queries.take()) {
            socket.destroy();
            return;
          }
          const bytes = writeMessage(await this.#answered(query, guest));
          const prefix = Buffer.alloc(2);
          prefix.writeUInt16BE(bytes.length);
          await writeTo(socket, Buffer.concat([prefix, bytes]));
        }
      }
      socket.end();
    } catch {
      socket.destroy(); // it was closed in the middle
    }
  }

  async #answered(query: DnsMessage, guest: Guest): Promise<DnsMessage> {
    if (guest.asking >= maxAsking) return answerTo(query, responseCode.refused);
    guest.asking += 1;
    try {
      return await this.#answer(query, guest);
    } catch {
      return answerTo(query, responseCode.serverFailure);
    } finally {
      guest.asking -= 1;
    }
  }
}

/** The question in it; null for what is none, which gets no answer. */
function read(bytes: Buffer): DnsMessage | null {
  try {
    const message = readMessage(bytes);
    return message.response ? null : message;
  } catch {
    return null;
  }
}
