import { runTool } from "@workfort/host/process/run.ts";
import type { Guest } from "../guest.ts";
import { deniedPrefix, forgedPrefix, logGroup } from "../rules/base-rules.ts";
import type { Denials } from "./denials.ts";
import { NetfilterLog, type LoggedPacket } from "./netfilter-log.ts";
import { endsOf } from "./packet.ts";

/** between two looks at which interface has which index, ms */
const lookMs = 1000;

/** Takes what the rules log into the list of denials, with the name by which the guest knows the address. */
export class RefusedPackets {
  readonly #guestAt: (address: string) => Guest | null;
  readonly #guestOn: (tap: string) => Guest | null;
  readonly #denials: Denials;
  #log: NetfilterLog | null = null;
  /** by the kernel's index */
  #interfaces = new Map<number, string>();
  #looked: Promise<void> | null = null;

  constructor(needs: {
    guestAt: (address: string) => Guest | null;
    guestOn: (tap: string) => Guest | null;
    denials: Denials;
  }) {
    this.#guestAt = needs.guestAt;
    this.#guestOn = needs.guestOn;
    this.#denials = needs.denials;
  }

  /** Where the kernel does not offer it, packets are refused all the same, and counted. */
  start(): void {
    try {
      this.#log ??= new NetfilterLog(logGroup, (packet) => void this.#tell(packet));
    } catch (error) {
      process.stderr.write(`nexus-gateway: refused packets are not told: ${String(error)}\n`);
    }
  }

  close(): void {
    this.#log?.close();
    this.#log = null;
  }

  async #tell({ prefix, etherType, interfaceIndex, payload }: LoggedPacket): Promise<void> {
    const ends = endsOf(etherType, payload);
    const to = { address: ends?.destination ?? null, port: ends?.port ?? null, protocol: ends?.protocol ?? null };
    if (prefix === deniedPrefix) {
      const guest = this.#guestAt(ends?.source ?? "");
      const name = guest?.answered.nameOf(to.address ?? "") ?? null;
      const reason = guest?.policy.refusal(to.address ?? "", to.port) ?? "";
      if (guest !== null) this.#denials.add(guest, { kind: "packet", name, ...to, reason });
    } else if (prefix === forgedPrefix) {
      // who has sent it is what it does not say
      const guest = this.#guestOn((await this.#interface(interfaceIndex)) ?? "");
      const reason = `its sender is not this VM's: ${ends?.source ?? "another hardware address"}`;
      if (guest !== null) this.#denials.add(guest, { kind: "spoof", name: null, ...to, reason });
    }
  }

  async #interface(index: number): Promise<string | null> {
    const known = this.#interfaces.get(index);
    if (known !== undefined && this.#guestOn(known) !== null) return known;
    this.#looked ??= this.#look();
    await this.#looked;
    return this.#interfaces.get(index) ?? null;
  }

  async #look(): Promise<void> {
    setTimeout(() => (this.#looked = null), lookMs).unref();
    const { stdout } = await runTool(["ip", "-oneline", "link"], { timeoutMs: 10_000 }).catch(() => ({ stdout: "" }));
    const lines = stdout.matchAll(/^(\d+): ([^:@\s]+)/gm);
    this.#interfaces = new Map(Array.from(lines, ([, index, name]) => [Number(index), name ?? ""]));
  }
}
