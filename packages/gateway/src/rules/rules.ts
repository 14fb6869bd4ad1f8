import type { AddressRange } from "@workfort/core/network/ip.ts";
import type { PortRange } from "@workfort/core/network/ports.ts";
import type { GatewaySettings, GatewayVm } from "@workfort/host/network/gateway-protocol.ts";
import { runTool } from "@workfort/host/process/run.ts";
import * as z from "zod";
import { baseRules, removal } from "./base-rules.ts";
import { guestRemoval, guestRules, nameElements, type Count, type RuledGuest } from "./guest-rules.ts";
import { NftQueue } from "./nft-queue.ts";

const listTimeoutMs = 10_000;

const Listed = z.object({
  nftables: z.array(
    z.object({
      counter: z.object({ table: z.string(), name: z.string(), packets: z.number(), bytes: z.number() }).optional(),
      chain: z.object({ table: z.string(), name: z.string() }).optional(),
    }),
  ),
});

/** The rules in the kernel: whole, or guest by guest. */
export class Rules {
  readonly #queue = new NftQueue();

  /** Exchanges everything in one transaction; what was counted goes on, and connections that are still allowed live. */
  async putAll(
    settings: GatewaySettings,
    closed: readonly AddressRange[],
    guests: readonly (RuledGuest & { fed: string })[],
  ): Promise<void> {
    const counts = await this.counts();
    const own = guests.map((guest) => `${guestRules(guest, settings, counts)}\n${guest.fed}`);
    await this.#queue.submit(`${removal}${baseRules(settings, closed)}${own.join("\n")}`);
  }

  /** Makes or exchanges the rules of one guest; `before` is what it was known as. */
  async putGuest(
    guest: RuledGuest & { fed: string },
    settings: GatewaySettings,
    before: GatewayVm | null,
  ): Promise<void> {
    const moved =
      before !== null &&
      (before.number !== guest.vm.number ||
        before.tap !== guest.vm.tap ||
        before.ipv4 !== guest.vm.ipv4 ||
        before.ipv6 !== guest.vm.ipv6);
    await this.#queue.submit(
      `${moved ? guestRemoval(before) : ""}${guestRules(guest, settings, new Map())}\n${guest.fed}`,
    );
  }

  async removeGuest(vm: GatewayVm): Promise<void> {
    await this.#queue.submit(guestRemoval(vm));
  }

  /** Opens the addresses that a name led to. */
  async feed(
    number: number,
    addresses: readonly string[],
    ports: readonly PortRange[],
    seconds: number,
  ): Promise<void> {
    await this.#queue.submit(nameElements(number, addresses, ports, seconds));
  }

  /** What is counted, by the counter's name; empty where there are no rules. */
  async counts(): Promise<Map<string, Count>> {
    const listed = await list("counters");
    return new Map(listed.flatMap(({ counter }) => (counter?.table === "workfort" ? [[counter.name, counter]] : [])));
  }

  async chains(): Promise<string[]> {
    const listed = await list("chains");
    return listed.flatMap(({ chain }) => (chain?.table === "workfort" ? [chain.name] : []));
  }
}

async function list(what: "counters" | "chains"): Promise<z.infer<typeof Listed>["nftables"]> {
  const { stdout } = await runTool(["nft", "-j", "list", what], { timeoutMs: listTimeoutMs });
  return Listed.parse(JSON.parse(stdout)).nftables;
}
