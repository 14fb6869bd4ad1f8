import { setTimeout as delay } from "node:timers/promises";
import {
  WorkfortError,
  type Denial,
  type HostService,
  type NetworkLeftover,
  type NetworkMode,
  type NetworkPolicy,
  type NetworkStatus,
  type VmNetworkCounters,
} from "@workfort/contract";
import type { AttachedNetwork, GuestNetwork, Logger, Network } from "@workfort/core";
import {
  addressesOf,
  gatewayNumber,
  guestMtu,
  macAddressOf,
  networkArgument,
  prefixLength,
  tapOf,
  type Subnets,
} from "@workfort/core/network/addresses.ts";
import { join } from "node:path";
import type { Confinement } from "../confinement/confinement.ts";
import type { Paths } from "../paths.ts";
import { GatewayGone } from "./gateway-client.ts";
import type { GatewaySettings, GatewayVm } from "./gateway-protocol.ts";
import { subnetTrouble } from "./route-conflicts.ts";
import { readSurroundings, type Surroundings } from "./surroundings.ts";
import { tagOf } from "./tag.ts";
import { chooseWay, installedHelper, type Choice } from "./ways.ts";
import { Workplace } from "./workplace.ts";

/**
 * The network of guests on this host: what the daemon asks for, told to the gateway of the workplace's namespace.
 *
 * Nothing of it is there before the first guest, and it is taken away when there has been none for a while. What the
 * gateway holds is only ever a copy of what is known here: whoever starts it anew puts it all again.
 */
export interface NetworkNeeds {
  paths: Paths["network"];
  /** tells this workplace's things on the host from those of others */
  stateDirectory: string;
  mode: NetworkMode;
  subnets: Subnets;
  /** configured DNS servers; null takes the host's own */
  dns: readonly string[] | null;
  confinement: Confinement;
  programs: { keeper: string; networkHelper: string; gateway: readonly [string, ...string[]] };
  log: Logger;
}

const bridge = "nexbr0";
const tun = "/dev/net/tun";
/** for how long a network without guests stays, ms; making it anew takes about a second */
const idleMs = 30_000;
/** for a gateway that has ended to be there again, ms */
const mendBoundMs = 20_000;
/** between two looks for a gateway by somebody who follows denials, ms */
const lookAgainMs = 1_000;

export class WorkplaceNetwork implements Network {
  readonly #needs: NetworkNeeds;
  readonly #workplace: Workplace;
  readonly #guests = new Map<string, GuestNetwork>();
  readonly #isRoot = process.getuid?.() === 0;
  readonly #tag: string;
  #services: readonly HostService[] = [];
  #choice: Promise<Choice> | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  #idle: NodeJS.Timeout | null = null;

  constructor(needs: NetworkNeeds) {
    this.#needs = needs;
    const { paths, confinement, dns, log, programs } = needs;
    this.#tag = tagOf(needs.stateDirectory);
    this.#workplace = new Workplace({
      paths,
      tag: this.#tag,
      isRoot: this.#isRoot,
      keeperProgram: programs.keeper,
      confinement,
      helperProgram: this.#isRoot ? programs.networkHelper : installedHelper,
      gatewayProgram: programs.gateway,
      dns,
      log,
      settings: (surroundings) => this.#settings(surroundings),
      state: (surroundings) => ({
        ...this.#settings(surroundings),
        vms: [...this.#guests.values()].map((guest) => this.#vm(guest)),
      }),
    });
  }

  get mode(): NetworkStatus["mode"] {
    return this.#needs.mode;
  }

  async status(options: { refresh?: boolean } = {}): Promise<NetworkStatus> {
    const { mode, subnets, dns } = this.#needs;
    const { way, reason, hint } = await this.#choose(options.refresh ?? false);
    const { dnsServers, dnsTrouble } = await readSurroundings(dns);
    const running = this.#workplace.isUp ? await this.#workplace.gateway.process.find().catch(() => null) : null;
    return {
      mode,
      way,
      usable: way !== null,
      reason: dnsTrouble === null || way === null ? reason : `${reason}; guests resolve no names: ${dnsTrouble}`,
      hint:
        hint ??
        (dnsTrouble === null || way === null ? null : "name some in nexus.yaml: network: { dns: [192.0.2.53] }"),
      bridge,
      ipv4Subnet: subnets.ipv4,
      ipv6Subnet: subnets.ipv6,
      dnsServers,
      gatewayPid: running?.pid ?? null,
      attachedCount: this.#guests.size,
    };
  }

  async attach(guest: GuestNetwork): Promise<AttachedNetwork> {
    this.#keep();
    this.#guests.set(guest.vmId, guest);
    try {
      await this.#bringUp();
      await this.#tell((client) => client.putVm(this.#vm(guest)));
      const namespaces = this.#workplace.namespaces;
      if (namespaces === null) throw new GatewayGone("the network went down");
      return {
        tap: tapOf(guest.vmId),
        macAddress: macAddressOf(guest.vmId),
        bootArguments: [networkArgument(this.#needs.subnets, guest.vmId, guest.number)],
        namespaces,
      };
    } catch (error) {
      this.#guests.delete(guest.vmId);
      this.#goSoon();
      throw unavailable(error);
    }
  }

  async detach(vmId: string): Promise<void> {
    this.#guests.delete(vmId);
    this.#goSoon();
    if (!this.#workplace.isUp) return;
    try {
      await this.#workplace.gateway.client.deleteVm(vmId);
    } catch (error) {
      if (!(error instanceof GatewayGone)) throw error; // the next one is not told of it
    }
  }

  async setPolicy(vmId: string, policy: NetworkPolicy): Promise<void> {
    const guest = this.#guests.get(vmId);
    if (guest === undefined) return;
    this.#guests.set(vmId, { ...guest, policy });
    try {
      await this.#tell((client) => client.putPolicy(vmId, policy));
    } catch (error) {
      throw unavailable(error);
    }
  }

  async setServices(services: readonly HostService[]): Promise<void> {
    this.#services = services;
    if (!this.#workplace.isUp) return;
    try {
      await this.#tell(() => this.#workplace.putSettings());
    } catch (error) {
      throw unavailable(error);
    }
  }

  async counters(vmId: string): Promise<VmNetworkCounters | null> {
    return this.#workplace.isUp ? await this.#workplace.gateway.client.counters(vmId) : null;
  }

  async *denials(
    query: { after: number; vmId: string | null; follow: boolean },
    signal: AbortSignal,
  ): AsyncGenerator<Denial> {
    let after = query.after;
    for (;;) {
      try {
        if (this.#workplace.isUp)
          for await (const denial of this.#workplace.gateway.client.denials({ ...query, after }, signal)) {
            after = Math.max(after, denial.number);
            yield denial;
          }
      } catch (error) {
        if (!(error instanceof GatewayGone)) throw error;
        if (!query.follow) throw unavailable(error);
      }
      if (!query.follow || signal.aborted) return;
      // there is no gateway yet, or it is being started again
      await delay(lookAgainMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
    }
  }

  async recover(guests: readonly GuestNetwork[]): Promise<void> {
    this.#setGuests(guests);
    await this.#settle();
  }

  async reconcile(guests: readonly GuestNetwork[]): Promise<NetworkLeftover[]> {
    this.#setGuests(guests);
    const found = await this.#settle();
    if (this.#guests.size === 0) return found;
    try {
      const isMended = await this.#workplace.mendUplink();
      const before = await this.#tell((client) => client.inventory());
      await this.#tell(() => this.#workplace.putState());
      const after = await this.#tell((client) => client.inventory());
      const uplink = {
        kind: "uplink",
        name: this.#workplace.uplinkName,
        detail: "was broken, made again",
        removed: false,
      };
      return [
        ...found,
        ...(isMended ? [uplink as NetworkLeftover] : []),
        ...differences("tap", before.taps, after.taps),
        ...differences("rule", before.chains, after.chains),
      ];
    } catch (error) {
      throw unavailable(error);
    }
  }

  async reset(): Promise<NetworkLeftover[]> {
    this.#guests.clear();
    this.#keep();
    return await this.#inTurn(() => this.#workplace.down());
  }

  close(): void {
    this.#keep();
    if (this.#guests.size > 0) this.#workplace.letGo();
    else void this.#inTurn(async () => (this.#workplace.isUp ? await this.#workplace.down() : [])).catch(() => {});
  }

  /** With guests everything is there afterwards, without any nothing. */
  async #settle(): Promise<NetworkLeftover[]> {
    if (this.#guests.size === 0) {
      this.#keep();
      return await this.#inTurn(async () => (this.#guests.size === 0 ? await this.#workplace.down() : []));
    }
    try {
      await this.#bringUp();
      return [];
    } catch (error) {
      throw unavailable(error);
    }
  }

  #setGuests(guests: readonly GuestNetwork[]): void {
    this.#guests.clear();
    for (const guest of guests) this.#guests.set(guest.vmId, guest);
  }

  async #bringUp(): Promise<void> {
    if (this.#workplace.isUp) return;
    await this.#inTurn(async () => {
      if (this.#workplace.isUp) return;
      const { way, reason, hint } = await this.#choose(true);
      if (way === null) throw new WorkfortError("network_unavailable", reason, { hint: hint ?? "nexusctl doctor" });
      try {
        await this.#workplace.up(way);
      } catch (error) {
        this.#choice = null; // something has changed since
        // what was made stands in nobody's way, unless VMs of an earlier daemon live by it
        if (this.#guests.size <= 1) await this.#workplace.down();
        throw error;
      }
    });
  }

  /** Asks the gateway; one that is just being started again is waited for, and asked once more. */
  async #tell<T>(ask: (client: Workplace["gateway"]["client"]) => Promise<T>): Promise<T> {
    if (!this.#workplace.isUp) await this.#bringUp();
    try {
      return await ask(this.#workplace.gateway.client);
    } catch (error) {
      if (!(error instanceof GatewayGone)) throw error;
      if (!this.#workplace.isUp) await this.#bringUp();
      await this.#workplace.gatewayReady(AbortSignal.timeout(mendBoundMs));
      return await ask(this.#workplace.gateway.client);
    }
  }

  async #choose(refresh: boolean): Promise<Choice> {
    if (refresh) this.#choice = null;
    this.#choice ??= this.#lookAround();
    const choice = await this.#choice;
    if (choice.way === null) this.#choice = null; // what is missing may come
    return choice;
  }

  async #lookAround(): Promise<Choice> {
    const { mode, programs, subnets } = this.#needs;
    const choice = await chooseWay(mode, {
      uid: process.getuid?.() ?? 0,
      tag: this.#tag,
      helperProgram: programs.networkHelper,
      installedHelper,
      tun,
    });
    const trouble = choice.way === null ? null : await subnetTrouble(subnets);
    return trouble === null ? choice : { way: null, ...trouble };
  }

  /** One after the other is made and taken away. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#turn;
    const mine = (async () => {
      await before.catch(() => {});
      return await work();
    })();
    this.#turn = mine.catch(() => {});
    return await mine;
  }

  #keep(): void {
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#idle = null;
  }

  #goSoon(): void {
    if (this.#guests.size > 0) return;
    this.#keep();
    const go = (): void =>
      void this.#inTurn(async () => (this.#guests.size === 0 ? await this.#workplace.down() : [])).catch(
        (error: unknown) => this.#needs.log.error({ err: error }, "a network without guests could not be taken away"),
      );
    this.#idle = setTimeout(go, idleMs).unref();
  }

  #settings({ dnsServers, hostAddresses }: Surroundings): GatewaySettings {
    const { subnets, paths } = this.#needs;
    const gateway = addressesOf(subnets, gatewayNumber);
    return {
      bridge,
      ipv4: { subnet: subnets.ipv4, gateway: gateway.ipv4, prefixLength: prefixLength(subnets.ipv4) },
      ipv6: { subnet: subnets.ipv6, gateway: gateway.ipv6, prefixLength: prefixLength(subnets.ipv6) },
      mtu: guestMtu,
      dnsServers,
      hostAddresses,
      services: this.#services.map(({ name, port }) => ({ name, port, socket: join(paths.services, String(port)) })),
      tapOwner: 0, // root of the namespace, whoever that is outside
    };
  }

  #vm({ vmId, vmName, number, policy }: GuestNetwork): GatewayVm {
    return {
      id: vmId,
      name: vmName,
      number,
      tap: tapOf(vmId),
      macAddress: macAddressOf(vmId),
      ...addressesOf(this.#needs.subnets, number),
      policy,
    };
  }
}

/** What the gateway has removed as nobody's, and what it has made again. */
function differences(
  kind: NetworkLeftover["kind"],
  before: readonly string[],
  after: readonly string[],
): NetworkLeftover[] {
  const without = (names: readonly string[], others: readonly string[]): string[] =>
    names.filter((name) => !others.includes(name));
  return [
    ...without(before, after).map((name) => ({ kind, name, detail: "no VM has it", removed: true })),
    ...without(after, before).map((name) => ({ kind, name, detail: "was missing, made again", removed: false })),
  ];
}

function unavailable(error: unknown): WorkfortError {
  if (error instanceof WorkfortError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new WorkfortError("network_unavailable", `the network could not be used: ${why}`, {
    cause: error,
    hint: "nexusctl doctor",
  });
}
