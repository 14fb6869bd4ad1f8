import type { GatewaySettings } from "@workfort/host/network/gateway-protocol.ts";
import type { Denials } from "../denials/denials.ts";
import type { Guest } from "../guest.ts";
import type { Rules } from "../rules/rules.ts";
import { minOpenSeconds } from "./answered-names.ts";
import { localAnswer } from "./local-zone.ts";
import { answerTo, responseCode, type DnsMessage } from "./message.ts";
import { addressOf, internetClass, recordType, type DnsRecord } from "./record.ts";
import { answerOf, type Resolver } from "./resolver.ts";
import { withoutEncryptedHello } from "./svcb.ts";

/** RFC 8914 */
const blocked = 15;
const networkError = 23;
/** a name that says how to reach encrypted resolvers (RFC 9462) */
const discovery = /^_dns\./;
const unanswered: ReadonlySet<number> = new Set([249, 250, 251, 252, 253, 254, recordType.any]); // keys, transfers, everything
/** added to the time for which an address is open, s, for a guest that takes its time */
const openSlackSeconds = 15;

/** Decides what a guest is told: by its policy, without closed addresses, and not before the rules know the addresses. */
export class Answerer {
  readonly #resolver: Resolver;
  readonly #rules: Rules;
  readonly #denials: Denials;

  constructor(needs: { resolver: Resolver; rules: Rules; denials: Denials }) {
    this.#resolver = needs.resolver;
    this.#rules = needs.rules;
    this.#denials = needs.denials;
  }

  async answer(query: DnsMessage, guest: Guest, settings: GatewaySettings): Promise<DnsMessage> {
    const [question] = query.questions;
    if (query.opcode !== 0) return answerTo(query, responseCode.notImplemented);
    if (question === undefined) return answerTo(query, responseCode.formatError);
    if (question.class !== internetClass || unanswered.has(question.type)) return answerTo(query, responseCode.refused);
    const local = localAnswer(query, guest, settings);
    if (local !== null) {
      if (local.responseCode !== responseCode.noError)
        this.#deny(guest, question.name, "no such name of the workplace");
      return local;
    }
    if (guest.policy.mode === "none") {
      this.#deny(guest, question.name, "the policy allows nothing");
      return explained(answerTo(query, responseCode.refused), blocked, "the VM's network policy is none");
    }
    if (!guest.policy.asksName(question.name) || discovery.test(question.name)) {
      this.#deny(guest, question.name, "the policy does not name it");
      return explained(answerTo(query, responseCode.noSuchName), blocked, "not allowed by the VM's network policy");
    }
    return await this.#ask(query, question.name.toLowerCase(), guest);
  }

  async #ask(query: DnsMessage, name: string, guest: Guest): Promise<DnsMessage> {
    const [question] = query.questions;
    if (question === undefined) return answerTo(query, responseCode.formatError);
    let whole: DnsMessage;
    try {
      const options = { dnssec: query.edns?.dnssec ?? false, checkingDisabled: query.checkingDisabled };
      whole = answerOf(query, await this.#resolver.resolve(question, options, guest.lookUps));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return explained(answerTo(query, responseCode.serverFailure), networkError, why);
    }
    const { kept, dropped } = this.#sift(whole.answers, guest, name);
    const answer = { ...whole, answers: kept };
    if (!(await this.#open(guest, name, kept))) return answerTo(query, responseCode.serverFailure);
    return dropped ? explained(answer, blocked, "addresses that the VM's network policy closes are left out") : answer;
  }

  /** Leaves out addresses that are closed: a name of somebody else's must not lead into our own networks. */
  #sift(records: readonly DnsRecord[], guest: Guest, name: string): { kept: DnsRecord[]; dropped: boolean } {
    const closed = records.filter((record) => {
      const address = addressOf(record);
      const ofAddress = record.type === recordType.a || record.type === recordType.aaaa;
      if (!ofAddress || (address !== null && guest.policy.admitsAnswer(address))) return false;
      this.#deny(guest, name, "the name leads to an address that is closed", address);
      return true;
    });
    const kept = records
      .filter((record) => !closed.includes(record))
      .map((record) => (guest.policy.refusesEncryptedHello ? withoutEncryptedHello(record) : record));
    return { kept, dropped: closed.length > 0 };
  }

  /** Opens the addresses on the ports that no check of ours sees; false where that has failed. */
  async #open(guest: Guest, name: string, records: readonly DnsRecord[]): Promise<boolean> {
    const places = guest.policy.directPlaces(name);
    const wanted = records.flatMap((record) => {
      const address = addressOf(record);
      if (address === null) return [];
      const seconds = Math.max(record.ttl, minOpenSeconds);
      guest.answered.note(name, address, seconds);
      return places.map((place) => ({ address, place, seconds }));
    });
    const missing = guest.open.missing(wanted);
    if (missing === null) {
      this.#deny(guest, name, "the guest has too many addresses of names open at once");
      return false;
    }
    if (missing.length === 0) return true;
    try {
      const longer = missing.map((one) => ({ ...one, seconds: one.seconds + openSlackSeconds }));
      await this.#rules.open(guest, longer);
      return true;
    } catch {
      return false; // the guest has gone
    }
  }

  #deny(guest: Guest, name: string, reason: string, address: string | null = null): void {
    this.#denials.add(guest, { kind: "dns", name, address, port: null, protocol: null, reason });
  }
}

function explained(answer: DnsMessage, code: number, text: string): DnsMessage {
  return answer.edns === null ? answer : { ...answer, edns: { ...answer.edns, extendedError: { code, text } } };
}
