import type { AddressRange } from "@workfort/core/network/ip.ts";
import type { GatewaySettings } from "@workfort/host/network/gateway-protocol.ts";
import { runTool } from "@workfort/host/process/run.ts";
import * as z from "zod";
import type { Guest } from "../guest.ts";
import { baseRules, removal } from "./base-rules.ts";
import { closeText, exchange, guestElements, openText, type Element, type OpenAddress } from "./guest-elements.ts";
import { NftQueue } from "./nft-queue.ts";
import { PolicyRules } from "./policy-rules.ts";

const listTimeoutMs = 10_000;
/** sets whose elements count, and who is counted in them */
const counting = {
  sent: "bridge",
  received: "bridge",
  forged: "bridge",
  denied4: "inet",
  denied6: "inet",
} as const;

const Counted = z.object({
  nftables: z.array(
    z.object({
      set: z
        .object({
          name: z.string(),
          elem: z
            .array(
              z.object({
                elem: z.object({ val: z.string(), counter: z.object({ packets: z.number(), bytes: z.number() }) }),
              }),
            )
            .optional(),
        })
        .optional(),
    }),
  ),
});
const Chains = z.object({
  nftables: z.array(
    z.object({ chain: z.object({ family: z.string(), table: z.string(), name: z.string() }).optional() }),
  ),
});

export interface Count {
  packets: number;
  bytes: number;
}

/** by name of the set and what the element is: `sent "tap…"`, `denied4 10.213.0.2` */
export type Counts = ReadonlyMap<string, Count>;

/** what is in the kernel of a guest */
interface Placed {
  elements: Element[];
  rules: PolicyRules;
}

/**
 * The rules in the kernel: whole, or guest by guest. What a call is to change is settled before it first waits, so that
 * the order of calls is the order of changes.
 */
export class Rules {
  readonly #queue = new NftQueue();
  #settings: GatewaySettings | null = null;
  #closed: readonly AddressRange[] = [];
  #placed = new Map<string, Placed>();

  /** Exchanges everything in one transaction. Connections that are still allowed live; counts go on from `counts`. */
  async putAll(
    settings: GatewaySettings,
    closed: readonly AddressRange[],
    guests: readonly Guest[],
    counts: Counts,
  ): Promise<void> {
    this.#settings = settings;
    this.#closed = closed;
    this.#placed = new Map();
    const texts = [removal, baseRules(settings, closed)];
    for (const guest of guests) texts.push(this.#place(guest, counts));
    await this.#queue.submit(texts.join("\n"));
  }

  /** Makes a guest's rules what its policy says. */
  async putGuest(guest: Guest): Promise<void> {
    await this.#queue.submit(this.#place(guest, new Map()));
  }

  async removeGuest(guest: Guest): Promise<void> {
    const before = this.#placed.get(guest.vm.id);
    if (before === undefined) return;
    this.#placed.delete(guest.vm.id);
    const text = [closeText(guest.vm, guest.open.takeAll()), exchange(before.elements, []), this.#unused(before.rules)];
    await this.#queue.submit(text.join("\n"));
  }

  /** Opens addresses that a name has led to. */
  async open(guest: Guest, opened: readonly OpenAddress[]): Promise<void> {
    guest.open.note(opened);
    await this.#queue.submit(openText(guest.vm, opened));
  }

  /** What was counted; empty where there are no rules. */
  async counts(): Promise<Counts> {
    const counts = new Map<string, Count>();
    const list = async ([name, family]: [string, string]): Promise<void> => {
      const argv = ["nft", "-j", "list", "set", family, "workfort", name] as const;
      const { stdout } = await runTool(argv, { timeoutMs: listTimeoutMs, okCodes: [0, 1] });
      const listed = stdout === "" ? [] : Counted.parse(JSON.parse(stdout)).nftables;
      for (const { set } of listed)
        for (const { elem } of set?.elem ?? []) counts.set(`${name} ${elem.val}`, elem.counter);
    };
    // one by one: nft 1.0.6 finds only the last of several
    await Promise.all(Object.entries(counting).map(list));
    return counts;
  }

  async chains(): Promise<string[]> {
    const { stdout } = await runTool(["nft", "-j", "list", "chains"], { timeoutMs: listTimeoutMs });
    return Chains.parse(JSON.parse(stdout)).nftables.flatMap(({ chain }) =>
      chain?.table === "workfort" ? [`${chain.family} ${chain.name}`] : [],
    );
  }

  #place(guest: Guest, counts: Counts): string {
    if (this.#settings === null) throw new Error("there are no rules for guests yet");
    const before = this.#placed.get(guest.vm.id);
    const rules = new PolicyRules(guest.policy, this.#closed);
    const elements = guestElements(guest.vm, rules, this.#settings);
    const known = this.#placed.values().some((placed) => placed.rules.key === rules.key);
    const closing = closeText(guest.vm, guest.open.takeAll());
    const opening = guest.toOpen();
    guest.open.note(opening);
    this.#placed.set(guest.vm.id, { elements, rules });
    return [
      known ? "" : rules.text,
      before === undefined ? "" : closing,
      exchange(
        before?.elements ?? [],
        elements.map((element) => withCount(element, counts)),
      ),
      before === undefined || before.rules.key === rules.key ? "" : this.#unused(before.rules),
      openText(guest.vm, opening),
    ].join("\n");
  }

  /** Takes away the chains of a policy that no guest has any more. */
  #unused(rules: PolicyRules): string {
    return this.#placed.values().some((placed) => placed.rules.key === rules.key) ? "" : rules.removal;
  }
}

function withCount(element: Element, counts: Counts): Element {
  const name = element.set.split(" ").at(-1) ?? "";
  const count = counts.get(`${name} ${element.key.replaceAll('"', "")}`);
  if (count === undefined || !(name in counting)) return element;
  return { ...element, value: ` counter packets ${count.packets} bytes ${count.bytes}` };
}
