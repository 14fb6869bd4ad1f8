import type { GuestTerminals } from "@workfort/core";
import type { Handlers } from "./handlers.ts";

export type TerminalOperation = Extract<keyof Handlers, `vm.terminal.${string}`>;

/** Terminals of VMs; looking at one is the WebSocket's (terminal-door.ts). */
export function terminalHandlers(terminalsOf: (vm: string) => GuestTerminals): Pick<Handlers, TerminalOperation> {
  return {
    "vm.terminal.create": ({ params, body }) => terminalsOf(params.vm).create(body),
    "vm.terminal.list": async ({ params }) => ({ terminals: await terminalsOf(params.vm).list() }),
    "vm.terminal.get": ({ params }) => terminalsOf(params.vm).get(params.terminal),
    "vm.terminal.resize": ({ params, body }) => terminalsOf(params.vm).resize(params.terminal, body),
    "vm.terminal.input": ({ params }, { bytes, signal }) =>
      terminalsOf(params.vm).input(params.terminal, bytes, signal),
    "vm.terminal.delete": async ({ params }) => {
      await terminalsOf(params.vm).delete(params.terminal);
      return undefined;
    },
  };
}
