import type { Guest } from "../guest.ts";
import { logGroup } from "../rules/base-rules.ts";
import type { Denials } from "./denials.ts";
import { NetfilterLog, type LoggedPacket } from "./netfilter-log.ts";
import { endsOf } from "./packet.ts";

/** Takes what the rules log into the list of denials, with the name by which the guest knows the address. */
export class RefusedPackets {
  readonly #guestOf: (number: number) => Guest | null;
  readonly #denials: Denials;
  #log: NetfilterLog | null = null;

  constructor(guestOf: (number: number) => Guest | null, denials: Denials) {
    this.#guestOf = guestOf;
    this.#denials = denials;
  }

  /** Where the kernel does not offer it, packets are refused all the same, and counted. */
  start(): void {
    try {
      this.#log ??= new NetfilterLog(logGroup, (packet) => this.#tell(packet));
    } catch (error) {
      process.stderr.write(`nexus-gateway: refused packets are not told: ${String(error)}\n`);
    }
  }

  close(): void {
    this.#log?.close();
    this.#log = null;
  }

  #tell({ prefix, etherType, payload }: LoggedPacket): void {
    const [, kind, number] = /^(deny|spoof) (\d+)$/.exec(prefix) ?? [];
    const guest = this.#guestOf(Number(number));
    if (guest === null) return;
    const ends = endsOf(etherType, payload);
    const to = { address: ends?.destination ?? null, port: ends?.port ?? null, protocol: ends?.protocol ?? null };
    const name = to.address === null ? null : guest.answered.nameOf(to.address);
    if (kind === "deny") {
      const reason = guest.policy.refusal(to.address ?? "", to.port);
      this.#denials.add(guest, { kind: "packet", name, ...to, reason });
    } else {
      const reason = `its sender is not this VM's: ${ends?.source ?? "another hardware address"}`;
      this.#denials.add(guest, { kind: "spoof", name, ...to, reason });
    }
  }
}
