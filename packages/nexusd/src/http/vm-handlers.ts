import { Readable } from "node:stream";
import {
  guestStats,
  type ConsoleArchive,
  type GuestProcesses,
  type Metrics,
  type Supervisor,
  type Vms,
} from "@workfort/core";
import type { FileOperation } from "./file-handlers.ts";
import type { ForwardOperation } from "./forward-handlers.ts";
import { Bytes, type Handlers } from "./handlers.ts";
import type { NetworkOperation } from "./network-handlers.ts";
import type { TerminalOperation } from "./terminal-handlers.ts";

type VmOperation = Exclude<
  Extract<keyof Handlers, `vm.${string}` | `process.${string}`>,
  FileOperation | ForwardOperation | NetworkOperation | TerminalOperation
>;

/** VMs, and the processes in them */
export function vmHandlers({
  vms,
  supervisor,
  consoles,
  metrics,
}: {
  vms: Vms;
  supervisor: Supervisor;
  consoles: ConsoleArchive;
  metrics: Metrics;
}): Pick<Handlers, VmOperation> {
  const processesOf = (reference: string): GuestProcesses => supervisor.processes(vms.find(reference));
  return {
    "vm.create": ({ body }) => vms.create(body),
    "vm.list": ({ query }) => ({ vms: vms.list(query.state) }),
    "vm.get": ({ params }) => vms.get(params.vm),
    "vm.delete": async ({ params, query }) => {
      await vms.delete(params.vm, { keepWorkspace: query.keepWorkspace });
      return undefined;
    },
    "vm.start": ({ params, body }, { onProgress }) => vms.start(params.vm, body, { onProgress }),
    "vm.stop": ({ params, body }) => vms.stop(params.vm, body.graceMs),
    "vm.kill": ({ params }) => vms.kill(params.vm),
    "vm.pause": ({ params }) => vms.pause(params.vm),
    "vm.resume": ({ params }) => vms.resume(params.vm),
    "vm.history": ({ params }) => vms.history(params.vm),
    "vm.metrics": ({ params }) => metrics.of(vms.find(params.vm)),
    "vm.stats": ({ params }, { signal }) => {
      const vm = vms.find(params.vm);
      return guestStats(supervisor.guest(vm), vm.name, signal);
    },
    "vm.console": async ({ params, query }, { signal }) => {
      const vm = vms.find(params.vm);
      const tailBytes = query.tailBytes === 0 ? null : query.tailBytes;
      const run = supervisor.liveRun(vm.id);
      if (run === null) {
        await supervisor.cleared(vm.id); // it may have ended just now, and its console be on the way to the archive
        return new Bytes(Readable.from([tailOf(await consoles.read(vm.id), tailBytes)]));
      }
      if (query.follow) return new Bytes(run.followConsole(tailBytes, signal));
      return new Bytes(Readable.from([await run.console(tailBytes)]));
    },
    "vm.exec": ({ params, body }, { signal }) =>
      processesOf(params.vm).exec(body, (text) => Readable.from([Buffer.from(text)]), signal),

    "process.start": async ({ params, body }, { signal }) => {
      const processes = processesOf(params.vm);
      return body.attach ? new Bytes(await processes.startAttached(body, signal)) : await processes.start(body);
    },
    "process.list": async ({ params }) => ({ processes: await processesOf(params.vm).list() }),
    "process.get": ({ params }) => processesOf(params.vm).get(params.process),
    "process.wait": ({ params }, { signal }) => processesOf(params.vm).wait(params.process, signal),
    "process.output": async ({ params, query }, { signal }) =>
      new Bytes(await processesOf(params.vm).output(params.process, query, signal)),
    "process.stdin": ({ params, query }, { bytes, signal }) =>
      processesOf(params.vm).stdin(params.process, bytes, query, signal),
    "process.signal": async ({ params, body }) => {
      await processesOf(params.vm).signal(params.process, body);
      return {};
    },
    "process.delete": async ({ params }) => {
      await processesOf(params.vm).delete(params.process);
      return undefined;
    },
  };
}

function tailOf(bytes: Buffer, tailBytes: number | null): Buffer {
  return tailBytes === null ? bytes : bytes.subarray(-tailBytes);
}
