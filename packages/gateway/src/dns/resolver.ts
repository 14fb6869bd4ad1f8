import type { TokenBucket } from "../token-bucket.ts";
import { AnswerCache } from "./cache.ts";
import { answerTo, responseCode, type DnsMessage, type DnsQuestion } from "./message.ts";
import { recordType, targetOf, type DnsRecord } from "./record.ts";
import { Upstream, type AskOptions } from "./upstream.ts";

/** what one question has led to: the part of an answer that may be kept */
export interface Resolved {
  responseCode: number;
  authenticData: boolean;
  /** the records of the name that was asked for, and of those that its CNAMEs lead to; nothing else */
  answers: DnsRecord[];
  authorities: DnsRecord[];
}

/** of a chain of CNAMEs; more is a loop or a trick */
const maxChain = 16;
/** records that a guest is given */
const maxAnswers = 256;
/** of any answer, s: who moves wants to be found */
const maxTtl = 3600;
/** of the whole, over all guests */
const maxInFlight = 1024;

/** Questions to the upstream servers: answered from what is held, and asked once however many wait for the answer. */
export class Resolver {
  readonly upstream = new Upstream();
  readonly #cache = new AnswerCache();
  readonly #inFlight = new Map<string, Promise<Resolved>>();

  /** Throws where no server answers, or too much is asked at once; `lookUps` bounds who asks. */
  async resolve(question: DnsQuestion, options: AskOptions, lookUps: TokenBucket): Promise<Resolved> {
    const asked = { ...question, name: question.name.toLowerCase() };
    const key = `${asked.name} ${asked.type} ${options.dnssec} ${options.checkingDisabled}`;
    const held = this.#cache.get(key);
    if (held !== null) return held;
    const running = this.#inFlight.get(key);
    if (running !== undefined) return await running;
    if (!lookUps.take()) throw new Error("the VM asks for more names a second than it may");
    if (this.#inFlight.size >= maxInFlight) throw new Error("too many questions at once");
    const asking = this.#ask(asked, options, key);
    this.#inFlight.set(key, asking);
    try {
      return await asking;
    } finally {
      this.#inFlight.delete(key);
    }
  }

  /** What is held came from other servers. */
  setServers(servers: readonly string[]): void {
    this.upstream.setServers(servers);
    this.#cache.clear();
  }

  async #ask(question: DnsQuestion, options: AskOptions, key: string): Promise<Resolved> {
    const resolved = essence(question, await this.upstream.ask(question, options));
    this.#cache.put(key, resolved);
    return resolved;
  }
}

/** The answer that a guest gets for its query. */
export function answerOf(query: DnsMessage, resolved: Resolved): DnsMessage {
  return {
    ...answerTo(query, resolved.responseCode),
    authenticData: resolved.authenticData,
    answers: resolved.answers,
    authorities: resolved.authorities,
  };
}

function essence(question: DnsQuestion, answer: DnsMessage): Resolved {
  const owners = new Set([question.name]);
  let at = question.name;
  const aliases = new Map(
    answer.answers.flatMap((record) =>
      record.type === recordType.cname ? [[record.name.toLowerCase(), targetOf(record).toLowerCase()] as const] : [],
    ),
  );
  for (let length = 0; ; length += 1) {
    const next = aliases.get(at);
    if (next === undefined) break;
    if (owners.has(next) || length >= maxChain)
      return { responseCode: responseCode.serverFailure, authenticData: false, answers: [], authorities: [] };
    owners.add(next);
    at = next;
  }
  const bounded = (records: readonly DnsRecord[]): DnsRecord[] =>
    records.slice(0, maxAnswers).map((record) => ({ ...record, ttl: Math.min(record.ttl, maxTtl) }));
  return {
    responseCode: answer.responseCode,
    authenticData: answer.authenticData,
    answers: bounded(answer.answers.filter(({ name }) => owners.has(name.toLowerCase()))),
    authorities: bounded(answer.authorities),
  };
}
