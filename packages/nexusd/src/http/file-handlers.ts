import { GuestFiles, type Supervisor, type Vms } from "@workfort/core";
import { Bytes, type Handlers } from "./handlers.ts";

export type FileOperation = Extract<keyof Handlers, `vm.files.${string}`>;

/** files in VMs */
export function fileHandlers({ vms, supervisor }: { vms: Vms; supervisor: Supervisor }): Pick<Handlers, FileOperation> {
  const filesOf = (reference: string, signal: AbortSignal): GuestFiles =>
    new GuestFiles(supervisor.guest(vms.find(reference)), signal);
  return {
    "vm.files.read": async ({ params, query }, { signal }) => {
      const { content, headers } = await filesOf(params.vm, signal).read(query);
      return new Bytes(content, headers);
    },
    "vm.files.write": ({ params, query }, { bytes, signal }) => filesOf(params.vm, signal).write(query, bytes),
    "vm.files.stat": ({ params, query }, { signal }) => filesOf(params.vm, signal).stat(query),
    "vm.files.list": ({ params, query }, { signal }) => filesOf(params.vm, signal).list(query),
    "vm.files.move": async ({ params, body }, { signal }) => {
      await filesOf(params.vm, signal).move(body);
      return {};
    },
    "vm.files.delete": async ({ params, body }, { signal }) => {
      await filesOf(params.vm, signal).delete(body);
      return {};
    },
    "vm.files.mkdir": ({ params, body }, { signal }) => filesOf(params.vm, signal).mkdir(body),
    "vm.files.search": ({ params, body }, { signal }) => filesOf(params.vm, signal).search(body),
    "vm.files.watch": async ({ params, query }, { signal }) => new Bytes(await filesOf(params.vm, signal).watch(query)),
    "vm.files.archive": async ({ params, query }, { signal }) =>
      new Bytes(await filesOf(params.vm, signal).archive(query)),
    "vm.files.unpack": ({ params, query }, { bytes, signal }) => filesOf(params.vm, signal).unpack(query, bytes),
  };
}
