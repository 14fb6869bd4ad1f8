import { WorkfortError, type CreateVm, type OperationName, type Vm } from "@workfort/contract";
import { mayTouch, type Tokens } from "@workfort/core";
import type { Ask } from "./local-daemon.ts";

/** what one VM may reach, and what reaches it from the host, is the owner's to say */
const ownersAlone: ReadonlySet<OperationName> = new Set([
  "vm.policy.set",
  "vm.policy.edit",
  "vm.policy.clear",
  "forward.create",
  "vm.preview",
]);

/**
 * Asking as a token may. What is not allowed here cannot be asked for, whatever a tool does: operations on one VM go
 * on where the token may touch it, and of the rest only those named here.
 */
export function askAsToken(
  ask: Ask,
  tokens: Tokens,
  tokenId: string,
  defaults: { memoryMiB: number; vcpuCount: number },
): Ask {
  return async (name, given, options, bytes) => {
    const token = tokens.current(tokenId);
    if (name === "image.list") return await ask(name, given, options);
    if (name === "vm.list") {
      const { vms } = (await ask(name, given, options)) as { vms: Vm[] };
      return { vms: vms.filter((vm) => mayTouch(token, vm.id)) };
    }
    if (name === "vm.create") {
      const { workspace, network, ...request } = given.body as CreateVm;
      if (workspace !== undefined) throw refused(name); // it may be anybody's
      if (network !== undefined) throw refused(name);
      const size = {
        memoryMiB: request.memoryMiB ?? defaults.memoryMiB,
        vcpuCount: request.vcpuCount ?? defaults.vcpuCount,
      };
      return await tokens.creating(
        tokenId,
        size,
        async () => (await ask(name, { ...given, body: request }, options)) as Vm,
      );
    }
    const reference = given.params?.["vm"];
    if (reference === undefined || ownersAlone.has(name)) throw refused(name);
    // by its id from here on: a name may soon be another's
    const params = { ...given.params, vm: tokens.vmFor(tokenId, reference).id };
    return await ask(name, { ...given, params }, options, bytes);
  };
}

function refused(name: OperationName): WorkfortError {
  return new WorkfortError("forbidden", `a token does not open ${name}`);
}
