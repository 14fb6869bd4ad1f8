import { gatewayPorts, WorkfortError, type CreateHostService, type HostService } from "@workfort/contract";
import { nameTaken, notFound } from "../errors.ts";
import type { EventSink } from "../events.ts";
import type { Store } from "../ports.ts";
import type { Interfaces } from "./interfaces.ts";
import type { Policies } from "./policies.ts";

/** Things of the host that VMs may be given: recorded, then offered to those whose policy names them. */
export class HostServices {
  readonly #store: Store;
  readonly #events: EventSink;
  readonly #policies: Policies;
  readonly #interfaces: Interfaces;

  constructor(needs: { store: Store; events: EventSink; policies: Policies; interfaces: Interfaces }) {
    this.#store = needs.store;
    this.#events = needs.events;
    this.#policies = needs.policies;
    this.#interfaces = needs.interfaces;
  }

  list(): HostService[] {
    return this.#store.listHostServices();
  }

  async create(request: CreateHostService): Promise<HostService> {
    const others = this.list();
    if (others.some(({ name }) => name === request.name)) throw nameTaken("service", request.name);
    const user = (gatewayPorts as readonly number[]).includes(request.port)
      ? "the network itself"
      : others.find(({ port }) => port === request.port)?.name;
    if (user !== undefined)
      throw new WorkfortError("in_use", `port ${request.port} is that of ${user}`, {
        hint: "nexusctl network service list",
      });
    const service = { ...request, createdAt: Date.now() };
    this.#store.transaction(
      () => {
        this.#store.insertHostService(service);
        this.#events.publish({ type: "service.created", serviceName: service.name });
      },
      { durable: true },
    );
    await this.#interfaces.applyServices();
    return service;
  }

  async delete(name: string): Promise<void> {
    if (!this.list().some((service) => service.name === name)) throw notFound("service", name);
    this.#store.transaction(
      () => {
        this.#store.deleteHostService(name);
        this.#policies.forgetService(name);
        this.#events.publish({ type: "service.deleted", serviceName: name });
      },
      { durable: true },
    );
    await this.#interfaces.applyServices();
  }
}
