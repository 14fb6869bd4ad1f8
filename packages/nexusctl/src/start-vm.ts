import type { Vm } from "@workfort/contract";
import type { Cli } from "./cli.ts";
import type { OutputFlags } from "./command.ts";
import { doing } from "./failures.ts";
import { printable } from "./format/colour.ts";
import { formatDuration } from "./format/units.ts";
import { withProgress } from "./progress.ts";

/** Starts a VM with its progress on stderr. */
export async function startVm(
  cli: Cli,
  flags: OutputFlags,
  name: string,
  { wait, timeoutMs }: { wait: boolean; timeoutMs?: number | undefined },
): Promise<{ vm: Vm; startedMs: number }> {
  const from = performance.now();
  const body = { waitForAgent: wait, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
  const vm = await doing(`start VM "${name}"`, () =>
    withProgress(cli, flags, `starting ${name}`, (onProgress) =>
      cli.client.progress("vm.start", { params: { vm: name }, body }, onProgress),
    ),
  );
  return { vm, startedMs: performance.now() - from };
}

export function startedText(vm: Vm, startedMs: number): string {
  const warnings = vm.warnings.map((warning) => `warning: ${printable(warning)}\n`).join("");
  return vm.agent === "ready"
    ? `${vm.name} runs, its agent answered after ${formatDuration(startedMs)}\n${warnings}`
    : `${vm.name} runs; its agent has not answered yet\n`;
}
