import type { Vm } from "./vm.ts";
import { Refusal } from "./refusal.ts";

/** What a request asks of the VM, and when it may. */
export interface Call {
  phase: "before" | "after" | "any";
  /** belongs to the way of booting, which forbids loading a snapshot even where it is refused */
  isOfBoot?: boolean;
  /** as the log and the metrics name what it takes a while to do */
  timed?: string;
  /** what the log says of a deprecated field */
  deprecated?: string;
  /** Gives the answer's JSON, or nothing. */
  run(vm: Vm): string | void | Promise<string | void>;
}

/** Runs a call in a phase where it may be run. */
export async function runCall(vm: Vm, call: Call): Promise<string | null> {
  if (vm.hasBooted && call.phase === "before")
    throw new Refusal("The requested operation is not supported after starting the microVM.");
  if (!vm.hasBooted && call.phase === "after")
    throw new Refusal("The requested operation is not supported before starting the microVM.");
  if (call.isOfBoot === true) vm.hasBootRequests = true;
  return (await call.run(vm)) ?? null;
}
