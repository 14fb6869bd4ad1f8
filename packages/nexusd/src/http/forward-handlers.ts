import type { Preview } from "@workfort/contract";
import type { Forwards, VmRecord, Vms } from "@workfort/core";
import type { Handlers } from "./handlers.ts";

export type ForwardOperation = Extract<keyof Handlers, `forward.${string}` | "vm.preview">;

/** ways from the host into VMs */
export function forwardHandlers({
  vms,
  forwards,
  previewOf,
}: {
  vms: Vms;
  forwards: Forwards;
  previewOf: (vm: VmRecord, port: number) => Preview;
}): Pick<Handlers, ForwardOperation> {
  return {
    "forward.create": ({ params, body }) => forwards.create(vms.find(params.vm), body),
    "forward.list": ({ query }) => ({ forwards: forwards.list(query.vm === undefined ? null : vms.find(query.vm).id) }),
    "forward.delete": async ({ params }) => {
      await forwards.delete(params.forward);
      return undefined;
    },
    "vm.preview": ({ params }) => previewOf(vms.find(params.vm), Number(params.port)),
  };
}
