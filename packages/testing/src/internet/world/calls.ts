import type { DnsAnswer, DnsQuery } from "./dns-zone.ts";

/** What a test and the servers in a namespace say to each other. */

/** takes all and answers with how much it was (RFC 863 but for the answer) */
export const discardPort = 9;

export interface WorldSettings {
  /** TCP ports with HTTP, on every address of the namespace */
  httpPorts: readonly number[];
  /** and with HTTPS */
  tlsPorts: readonly number[];
  /** and with an echo */
  echoPorts: readonly number[];
  /** where datagrams come back from; a socket each, so that it is known where they went to */
  datagrams: { addresses: readonly string[]; ports: readonly number[] };
  /** where names are answered */
  resolvers: readonly string[];
  /** holds a certificate for each name; null where nothing speaks TLS */
  certificates: string | null;
  /** directories of files, and the names they are served under */
  sites: Record<string, string>;
}

/** something that reached a server: a connection, a request, a datagram */
export interface Seen {
  kind: "tcp" | "request" | "tls" | "datagram";
  /** where it arrived */
  address: string;
  port: number;
  from: string;
  /** Host, SNI; empty where there is none */
  name: string;
  /** a request's line, or what a datagram says */
  text: string;
}

export interface WorldMethods {
  ready(): void;
  start(settings: WorldSettings): Promise<void>;
  /** how a name is answered from now on; several answers are given one after the other, the last again and again */
  setName(name: string, answers: readonly DnsAnswer[]): void;
  queries(): DnsQuery[];
  seen(): Seen[];
  openConnections(): { address: string; port: number }[];
  /** Forgets what was seen and asked. */
  forget(): void;
}

export interface WorldCall {
  id: number;
  method: keyof WorldMethods;
  words: unknown[];
}

export interface WorldAnswer {
  id: number;
  result?: unknown;
  error?: string;
}
