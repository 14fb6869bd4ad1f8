import type { VmState } from "@workfort/contract";

/**
 * What a VM in a given state may be asked. Pure: the caller acts on the answer before anything else can run,
 * so of two callers that race exactly one is accepted.
 */
export type VmRequest = "start" | "stop" | "kill" | "pause" | "resume" | "delete" | "change_drives" | "reach_guest";

export type Decision = { accept: true } | { accept: false; reason: string; hint: string };

const accept: Decision = { accept: true };

export function decide(vm: { name: string; state: VmState }, request: VmRequest): Decision {
  const { name, state } = vm;
  const refuse = (reason: string, hint: string): Decision => ({ accept: false, reason, hint });
  switch (request) {
    case "start":
      if (state === "created" || state === "stopped" || state === "crashed") return accept;
      if (state === "stopping") return refuse(`VM "${name}" is stopping`, "wait until it has stopped, then start it");
      if (state === "starting") return refuse(`VM "${name}" is already starting`, `nexusctl vm get ${name}`);
      return refuse(`VM "${name}" is already ${state}`, `nexusctl vm stop ${name}`);
    case "stop":
      if (state === "running" || state === "paused") return accept;
      if (state === "starting") return refuse(`VM "${name}" is still starting`, `nexusctl vm kill ${name}`);
      if (state === "stopping") return refuse(`VM "${name}" is already stopping`, `nexusctl vm kill ${name}`);
      return refuse(`VM "${name}" does not run (it is ${state})`, `nexusctl vm start ${name}`);
    case "kill":
      if (state === "starting" || state === "running" || state === "paused" || state === "stopping") return accept;
      return refuse(`VM "${name}" does not run (it is ${state})`, `nexusctl vm start ${name}`);
    case "pause":
      if (state === "running") return accept;
      if (state === "paused") return refuse(`VM "${name}" is already paused`, `nexusctl vm resume ${name}`);
      return refuse(`VM "${name}" does not run (it is ${state})`, `nexusctl vm get ${name}`);
    case "resume":
      if (state === "paused") return accept;
      return refuse(`VM "${name}" is not paused (it is ${state})`, `nexusctl vm get ${name}`);
    case "delete":
    case "change_drives":
      if (state === "created" || state === "stopped" || state === "crashed") return accept;
      return refuse(`VM "${name}" is ${state}`, `nexusctl vm stop ${name}`);
    case "reach_guest":
      if (state === "running") return accept;
      if (state === "starting") return refuse(`VM "${name}" is still starting`, "wait until it runs, then try again");
      if (state === "paused") return refuse(`VM "${name}" is paused`, `nexusctl vm resume ${name}`);
      return refuse(`VM "${name}" does not run (it is ${state})`, `nexusctl vm start ${name}`);
  }
}
