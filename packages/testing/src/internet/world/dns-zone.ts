import type { RecordType } from "./dns-message.ts";

/** What names are answered with, as tests have set it. */

export interface DnsRecord {
  /** by default the name that was asked for */
  name?: string;
  type: RecordType;
  /** address, name or text */
  data: string;
  /** seconds, 60 by default */
  ttl?: number;
}

/** ways not to answer as one should */
export type DnsFault =
  /** nothing comes back */
  | "silent"
  /** the answer belongs to another question's number */
  | "wrong-id"
  /** it answers another name */
  | "wrong-question"
  /** bytes that are no message */
  | "garbage"
  /** a message that ends in the middle */
  | "cut"
  /** a name that points to itself by compression */
  | "loop"
  /** over UDP only a hint to ask over TCP */
  | "tcp-only";

export interface DnsAnswer {
  records?: readonly DnsRecord[];
  /** 0 by default; 3 where there are no records */
  code?: number;
  delayMs?: number;
  fault?: DnsFault;
}

export interface DnsQuery {
  name: string;
  type: string;
  transport: "udp" | "tcp" | "tls" | "https";
  from: string;
  /** at which of the resolver's addresses */
  at: string;
}

export class DnsZone {
  readonly #names = new Map<string, readonly DnsAnswer[]>();
  readonly queries: DnsQuery[] = [];

  set(name: string, answers: readonly DnsAnswer[]): void {
    this.#names.set(name.toLowerCase(), answers);
  }

  /** The next answer for a question, which is remembered. */
  answer(query: DnsQuery): DnsAnswer {
    this.queries.push(query);
    const name = query.name.toLowerCase();
    const [next, ...later] = this.#names.get(name) ?? [];
    if (next === undefined) return { code: 3 };
    if (later.length > 0) this.#names.set(name, later);
    return next;
  }
}
