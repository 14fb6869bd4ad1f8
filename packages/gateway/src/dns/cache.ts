import { responseCode } from "./message.ts";
import { recordType, type DnsRecord } from "./record.ts";
import type { Resolved } from "./resolver.ts";

const maxEntries = 4096;
const maxBytes = 8 * 1024 * 1024;
/** of an answer that says that there is nothing, s (RFC 2308 advises at most hours; an agent creates names and uses them) */
const maxNegativeTtl = 60;
/** what a record costs beside its data */
const recordBytes = 200;

interface Held {
  resolved: Resolved;
  storedAt: number;
  expiresAt: number;
  bytes: number;
}

/** Answers for as long as they say they hold; of too many, those that were asked for longest ago go. */
export class AnswerCache {
  readonly #held = new Map<string, Held>();
  #bytes = 0;

  get(key: string): Resolved | null {
    const held = this.#held.get(key);
    if (held === undefined) return null;
    this.#drop(key, held);
    const now = performance.now();
    if (now >= held.expiresAt) return null;
    this.#keep(key, held); // the newest again
    const age = Math.floor((now - held.storedAt) / 1000);
    const aged = (record: DnsRecord): DnsRecord => ({ ...record, ttl: Math.max(record.ttl - age, 0) });
    const { answers, authorities } = held.resolved;
    return { ...held.resolved, answers: answers.map(aged), authorities: authorities.map(aged) };
  }

  put(key: string, resolved: Resolved): void {
    const ttl = lifetime(resolved);
    if (ttl === 0) return;
    const before = this.#held.get(key);
    if (before !== undefined) this.#drop(key, before);
    const records = [...resolved.answers, ...resolved.authorities];
    const bytes = records.reduce((sum, { data }) => sum + recordBytes + data.length, key.length + recordBytes);
    const now = performance.now();
    this.#keep(key, { resolved, storedAt: now, expiresAt: now + ttl * 1000, bytes });
    for (const [oldest, held] of this.#held) {
      if (this.#held.size <= maxEntries && this.#bytes <= maxBytes) break;
      this.#drop(oldest, held);
    }
  }

  clear(): void {
    this.#held.clear();
    this.#bytes = 0;
  }

  #keep(key: string, held: Held): void {
    this.#held.set(key, held);
    this.#bytes += held.bytes;
  }

  #drop(key: string, held: Held): void {
    this.#held.delete(key);
    this.#bytes -= held.bytes;
  }
}

/** s; 0 for what is not to be kept */
function lifetime({ responseCode: code, answers, authorities }: Resolved): number {
  if (code !== responseCode.noError && code !== responseCode.noSuchName) return 0;
  const positive = answers.filter(({ type }) => type !== recordType.cname);
  if (positive.length > 0) return Math.min(...answers.map(({ ttl }) => ttl));
  // nothing there: for as long as the zone says, which is the last number of its SOA (RFC 2308)
  const soa = authorities.find(({ type, data }) => type === recordType.soa && data.length >= 22);
  if (soa === undefined) return 0;
  return Math.min(
    soa.ttl,
    soa.data.readUInt32BE(soa.data.length - 4),
    maxNegativeTtl,
    ...answers.map(({ ttl }) => ttl),
  );
}
