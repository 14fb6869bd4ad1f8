import type { Duplex } from "node:stream";
import { WorkfortError, type CreateForward, type Forward } from "@workfort/contract";
import { notFound } from "./errors.ts";
import { connectToGuest, type GuestPlace } from "./guest-connections.ts";
import { newId } from "./ids.ts";
import type { ForwardListener, ForwardListeners, Logger, Store } from "./ports.ts";
import type { ForwardRecord, VmRecord } from "./records.ts";
import type { Supervisor } from "./supervisor.ts";

/**
 * Forwards: places on the host whose connections go into a VM, through its agent.
 *
 * A forward is a record, and a listener while a daemon is there: the next daemon listens again. It goes with its VM.
 * While the VM does not run, a connection is closed as soon as it is made.
 */
const mostOfAVm = 64;
const loopback = "127.0.0.1";

export class Forwards {
  readonly #store: Store;
  readonly #supervisor: Supervisor;
  readonly #listeners: ForwardListeners;
  readonly #log: Logger;
  readonly #open = new Map<string, ForwardListener>();
  /** why those do not listen that should */
  readonly #troubles = new Map<string, string>();

  constructor(needs: { store: Store; supervisor: Supervisor; listeners: ForwardListeners; log: Logger }) {
    this.#store = needs.store;
    this.#supervisor = needs.supervisor;
    this.#listeners = needs.listeners;
    this.#log = needs.log;
  }

  /** Listens, then records: what is recorded could be listened on at least once. */
  async create(vm: VmRecord, request: CreateForward): Promise<Forward> {
    if (this.#store.listForwards(vm.id).length >= mostOfAVm)
      throw new WorkfortError("too_many", `VM "${vm.name}" has ${mostOfAVm} forwards already`, {
        hint: `nexusctl forward list --vm ${vm.name}`,
      });
    const forward: ForwardRecord = {
      id: newId("fwd"),
      vmId: vm.id,
      hostAddress: request.hostSocket === undefined ? (request.hostAddress ?? loopback) : null,
      hostPort: request.hostPort ?? null,
      hostSocket: request.hostSocket ?? null,
      guestPort: request.guestPort ?? null,
      guestSocket: request.guestSocket ?? null,
      createdAt: Date.now(),
    };
    const listener = await this.#listen(forward);
    const bound = { ...forward, hostPort: listener.port };
    try {
      this.#store.insertForward(bound);
    } catch (error) {
      await listener.close();
      throw error; // its VM was deleted meanwhile
    }
    this.#open.set(bound.id, listener);
    return this.#present(bound);
  }

  /** of one VM, or of all */
  list(vmId: string | null): Forward[] {
    return this.#store.listForwards(vmId).map((forward) => this.#present(forward));
  }

  async delete(id: string): Promise<void> {
    const forward = this.#store.listForwards(null).find((one) => one.id === id);
    if (forward === undefined) throw notFound("forward", id);
    this.#store.deleteForward(id);
    await this.#close(id);
  }

  /** After a VM's records have gone, and its forwards' with them. */
  async closeStrays(): Promise<void> {
    const known = new Set(this.#store.listForwards(null).map(({ id }) => id));
    await Promise.all([...this.#open.keys()].filter((id) => !known.has(id)).map((id) => this.#close(id)));
  }

  /** Listens for all that are recorded; one that cannot says why, and the others do. */
  async recover(): Promise<void> {
    await Promise.all(
      this.#store.listForwards(null).map(async (forward) => {
        try {
          this.#open.set(forward.id, await this.#listen(forward));
        } catch (error) {
          const why = error instanceof Error ? error.message : String(error);
          this.#troubles.set(forward.id, why);
          this.#log.warn({ forward: forward.id, err: error }, "a forward does not listen");
        }
      }),
    );
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((id) => this.#close(id)));
  }

  /** Connects into a running VM; fails with `wrong_state`, `agent_unreachable` or `connection_refused`. */
  async connect(vmId: string, place: GuestPlace, signal: AbortSignal): Promise<Duplex> {
    const vm = this.#store.findVm(vmId);
    if (vm === null) throw notFound("VM", vmId);
    return await connectToGuest(this.#supervisor.guest(vm), place, signal);
  }

  async #listen(forward: ForwardRecord): Promise<ForwardListener> {
    const where =
      forward.hostSocket === null
        ? { address: forward.hostAddress ?? loopback, port: forward.hostPort ?? 0 }
        : { socket: forward.hostSocket };
    return await this.#listeners.listen(where, (signal) => this.connect(forward.vmId, placeOf(forward), signal));
  }

  async #close(id: string): Promise<void> {
    const listener = this.#open.get(id);
    this.#open.delete(id);
    this.#troubles.delete(id);
    await listener?.close();
  }

  #present(forward: ForwardRecord): Forward {
    const listener = this.#open.get(forward.id);
    return {
      id: forward.id,
      vmId: forward.vmId,
      vmName: this.#store.findVm(forward.vmId)?.name ?? "",
      listen: forward.hostSocket ?? hostAndPort(forward.hostAddress ?? loopback, forward.hostPort ?? 0),
      guestPort: forward.guestPort,
      guestSocket: forward.guestSocket,
      listening: listener !== undefined,
      trouble: this.#troubles.get(forward.id) ?? null,
      openConnections: listener?.openConnections ?? 0,
      createdAt: forward.createdAt,
    };
  }
}

function placeOf({ guestPort, guestSocket }: ForwardRecord): GuestPlace {
  return guestSocket === null ? { port: guestPort ?? 0, socket: null } : { port: null, socket: guestSocket };
}

function hostAndPort(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
