import { promises as fs } from "node:fs";
import type { NetworkLeftover, NetworkWay } from "@workfort/contract";
import { guestMtu } from "@workfort/core/network/addresses.ts";
import type { Logger } from "@workfort/core";
import type { Confinement } from "../confinement/confinement.ts";
import type { Paths } from "../paths.ts";
import type { GatewaySettings, GatewayState } from "./gateway-protocol.ts";
import { GatewayRunner } from "./gateway-runner.ts";
import { KeptProcess, type KeptNeeds } from "./kept-process.ts";
import { NamespaceHolder, type Namespace } from "./namespace.ts";
import { readSurroundings, type Surroundings } from "./surroundings.ts";
import { linkOf } from "./tag.ts";
import { PastaUplink, VethUplink, type Uplink } from "./uplink.ts";
import { Watched } from "./watched.ts";
import { findTool } from "./ways.ts";

/**
 * The three things that make a network of a workplace, each found again where it lives: the namespace, its uplink, and
 * the gateway in it. `up` makes what is missing, in this order; `down` takes all away, in the reverse.
 *
 *   down ──up──▶ up ──(any of the three ends: it is started again, and the state is put)──▶ up ──down──▶ down
 */
export interface WorkplaceNeeds {
  paths: Paths["network"];
  tag: string;
  isRoot: boolean;
  keeperProgram: string;
  confinement: Confinement;
  /** the network helper: that of the checkout for root, the installed one for users */
  helperProgram: string;
  gatewayProgram: readonly [string, ...string[]];
  /** DNS servers that are configured; null takes the host's own */
  dns: readonly string[] | null;
  log: Logger;
  settings(surroundings: Surroundings): GatewaySettings;
  state(surroundings: Surroundings): GatewayState;
}

/** how often the host is looked at for other addresses, routes and DNS servers, ms */
const lookEveryMs = 5_000;
const pastaMemoryMiB = 128;

interface Up {
  namespace: Namespace;
  uplink: Uplink;
  surroundings: Surroundings;
  watched: { holder: Watched; uplink: Watched | null; gateway: Watched };
  timer: NodeJS.Timeout;
}

export class Workplace {
  readonly gateway: GatewayRunner;
  readonly #needs: WorkplaceNeeds;
  readonly #holder: NamespaceHolder;
  readonly #pastaProcess: KeptProcess;
  #up: Up | null = null;

  constructor(needs: WorkplaceNeeds) {
    this.#needs = needs;
    const { paths, keeperProgram, confinement, tag, isRoot } = needs;
    const kept: KeptNeeds = { keeperProgram, confinement, tag };
    this.#holder = new NamespaceHolder({ ...kept, paths, isRoot });
    this.#pastaProcess = new KeptProcess(kept, {
      directory: paths.uplink,
      name: "uplink",
      title: "pasta",
      memoryMiB: pastaMemoryMiB,
    });
    this.gateway = new GatewayRunner({ ...kept, control: paths.control, program: needs.gatewayProgram });
  }

  /** null while it is down */
  get namespaces(): { network: string; user: string | null } | null {
    return this.#up === null ? null : { network: this.#up.namespace.network, user: this.#up.namespace.user };
  }

  get isUp(): boolean {
    return this.#up !== null;
  }

  /** Resolves when the gateway does its work. */
  async gatewayReady(signal: AbortSignal): Promise<void> {
    if (this.#up === null) throw new Error("the network is down");
    await this.#up.watched.gateway.ready(signal);
  }

  /** Whether something of it is there, made by this daemon or one before it. */
  async exists(): Promise<boolean> {
    return (await this.#holder.find()) !== null || (await this.gateway.process.find()) !== null;
  }

  async up(way: NetworkWay): Promise<void> {
    if (this.#up !== null) return;
    const surroundings = await readSurroundings(this.#needs.dns);
    let namespace = await this.#holder.findOrMake();
    if (namespace.way !== null && namespace.way !== way) await (await this.#uplinkOf(namespace.way)).down();
    namespace = await this.#holder.setWay(namespace, way);
    const uplink = await this.#uplinkOf(way);
    const { log } = this.#needs;
    const up: Up = {
      namespace,
      uplink,
      surroundings,
      watched: {
        holder: new Watched(this.#holder.process, () => this.#findHolder(), log),
        uplink:
          uplink.process === null ? null : new Watched(uplink.process, () => uplink.up(this.#present.namespace), log),
        gateway: new Watched(this.gateway.process, () => this.#bringUpGateway(), log),
      },
      timer: setInterval(() => void this.#look(), lookEveryMs).unref(),
    };
    this.#up = up;
    try {
      if (up.watched.uplink === null) await uplink.up(namespace);
      else await up.watched.uplink.begin();
      await up.watched.gateway.begin();
      await up.watched.holder.begin();
    } catch (error) {
      this.letGo();
      throw error;
    }
  }

  /** Leaves everything as it is and watches it no longer. */
  letGo(): void {
    const up = this.#up;
    this.#up = null;
    if (up === null) return;
    clearInterval(up.timer);
    for (const watched of Object.values(up.watched)) watched?.letGo();
  }

  /** Takes everything away, each step whether or not another fails; what there was of it. */
  async down(): Promise<NetworkLeftover[]> {
    this.letGo();
    const { paths, isRoot } = this.#needs;
    const found: NetworkLeftover[] = [];
    const step = async (kind: NetworkLeftover["kind"], name: string, work: () => Promise<string | null>) => {
      try {
        const detail = await work();
        if (detail !== null) found.push({ kind, name, detail, removed: true });
      } catch (error) {
        found.push({ kind, name, detail: error instanceof Error ? error.message : String(error), removed: false });
      }
    };
    await step("gateway", "gateway", async () => ((await this.gateway.process.end()) ? "ended" : null));
    await step("uplink", "pasta", async () => ((await this.#pastaProcess.end()) ? "ended" : null));
    await step("uplink", linkOf(this.#needs.tag), async () => {
      const veth = await this.#vethUplink(isRoot ? "root" : "helper");
      const there = (await veth?.find()) ?? null;
      if (there !== null) await veth?.down();
      return there === null ? null : "interface and rules removed";
    });
    await step("namespace", "holder", async () => ((await this.#holder.end()) ? "ended" : null));
    await step("process", paths.directory, async () => {
      await fs.rmdir(paths.directory).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT" && error.code !== "ENOTEMPTY") throw error; // sockets of host services stay
      });
      return null;
    });
    return found;
  }

  /** Makes what is missing of the uplink; whether anything was. */
  async mendUplink(): Promise<boolean> {
    const up = this.#present;
    // what is being taken down meanwhile is not made again
    if ((await up.uplink.isWhole()) || this.#up !== up) return false;
    await up.uplink.up(up.namespace);
    return true;
  }

  get uplinkName(): string {
    return linkOf(this.#needs.tag);
  }

  /** Tells the gateway everything anew. */
  async putState(): Promise<void> {
    const up = this.#present;
    await this.gateway.client.putState(this.#needs.state(up.surroundings));
  }

  async putSettings(): Promise<void> {
    await this.gateway.client.putSettings(this.#needs.settings(this.#present.surroundings));
  }

  get #present(): Up {
    if (this.#up === null) throw new Error("the network is down");
    return this.#up;
  }

  async #bringUpGateway(): Promise<void> {
    await this.gateway.bringUp(this.#present.namespace);
    await this.putState();
  }

  /** A new holder for the namespace that VMs and gateway live in; where nothing lives there any more, all begins anew. */
  async #findHolder(): Promise<void> {
    const namespace = await this.#holder.find();
    const up = this.#present;
    if (namespace !== null) {
      up.namespace = namespace;
      return;
    }
    this.#needs.log.warn({}, "the network's namespace has gone with all that was in it; the next VM gets a new one");
    this.letGo();
    throw new Error("the namespace has gone");
  }

  /**
   * A laptop changes its networks: the uplink is led out by the new route, and guests get the new DNS servers. A firewall
   * is loaded anew, and with it our own rules are gone: they are made again.
   */
  async #look(): Promise<void> {
    const up = this.#up;
    if (up === null) return;
    try {
      if (await this.mendUplink())
        this.#needs.log.warn({}, `${this.uplinkName} was broken by others, and is made again`);
      const now = await readSurroundings(this.#needs.dns);
      if (JSON.stringify(now) === JSON.stringify(up.surroundings) || this.#up !== up) return;
      if (up.uplink.process === null) await up.uplink.up(up.namespace);
      await this.gateway.client.putSettings(this.#needs.settings(now));
      up.surroundings = now; // only once all know
    } catch (error) {
      this.#needs.log.warn({ err: error }, "the network could not follow a change of the host's addresses");
    }
  }

  async #uplinkOf(way: NetworkWay): Promise<Uplink> {
    if (way !== "pasta") {
      const veth = await this.#vethUplink(way);
      if (veth !== null) return veth;
      throw new Error(`${this.#needs.helperProgram} is not installed`);
    }
    const program = (await findTool("pasta")) ?? "pasta";
    return new PastaUplink({ program, process: this.#pastaProcess, mtu: guestMtu });
  }

  /** Null where there is no helper, and so nothing that it could have made. */
  async #vethUplink(way: "root" | "helper"): Promise<VethUplink | null> {
    const { helperProgram: program, tag } = this.#needs;
    return (await fs.stat(program).catch(() => null)) === null ? null : new VethUplink({ way, program, tag });
  }
}
