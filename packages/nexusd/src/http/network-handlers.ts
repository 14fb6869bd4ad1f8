import { policyPresets, type Denial } from "@workfort/contract";
import type { HostServices, Interfaces, Policies, Vms } from "@workfort/core";
import { Bytes, type Handlers } from "./handlers.ts";

export type NetworkOperation = Extract<
  keyof Handlers,
  `network.${string}` | `service.${string}` | `vm.network.${string}` | `vm.policy.${string}`
>;

/** The network of guests, and what each may reach. */
export function networkHandlers({
  vms,
  policies,
  interfaces,
  hostServices,
}: {
  vms: Vms;
  policies: Policies;
  interfaces: Interfaces;
  hostServices: HostServices;
}): Pick<Handlers, NetworkOperation> {
  return {
    "network.status": () => interfaces.status(),
    "network.reconcile": async () => ({ leftovers: await interfaces.reconcile() }),
    "network.reset": async () => ({ leftovers: await interfaces.reset() }),
    "network.presets": () => ({
      presets: Object.fromEntries(Object.entries(policyPresets).map(([name, entries]) => [name, [...entries]])),
    }),
    "network.policy.get": () => policies.default(),
    "network.policy.set": ({ body }) => interfaces.setDefaultPolicy(body),
    "network.log": ({ query }, { signal }) => {
      const vmId = query.vm === undefined ? null : vms.find(query.vm).id;
      const { after = "0", follow } = query;
      return new Bytes(linesOf(interfaces.denials({ after: Number(after), vmId, follow }, signal)));
    },

    "vm.network.get": async ({ params }) => {
      const vm = vms.find(params.vm);
      return {
        network: interfaces.of(vm),
        policy: vm.hasNetwork ? policies.inForce(vm.id) : null,
        counters: await interfaces.counters(vm.id),
      };
    },
    "vm.policy.set": ({ params, body }) => interfaces.setPolicy(vms.find(params.vm), body),
    "vm.policy.edit": ({ params, body }) => interfaces.editPolicy(vms.find(params.vm), body),
    "vm.policy.clear": ({ params }) => interfaces.clearPolicy(vms.find(params.vm)),

    "service.create": ({ body }) => hostServices.create(body),
    "service.list": () => ({ services: hostServices.list() }),
    "service.delete": async ({ params }) => {
      await hostServices.delete(params.service);
      return undefined;
    },
  };
}

/** One JSON object a line, made as the reader takes them. */
async function* linesOf(denials: AsyncIterable<Denial>): AsyncGenerator<Buffer> {
  for await (const denial of denials) yield Buffer.from(`${JSON.stringify(denial)}\n`);
}
