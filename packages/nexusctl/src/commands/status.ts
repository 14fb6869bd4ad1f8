import type { Status } from "@workfort/contract";
import type { Cli } from "../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../command.ts";
import { printable, type Paint } from "../format/colour.ts";
import { renderPairs } from "../format/table.ts";
import { formatAge, formatMiB } from "../format/units.ts";
import { wrapWords } from "../format/wrap.ts";
import { show } from "../show.ts";
import { networkLine } from "../views/network.ts";
import { storageLine } from "../views/storage.ts";
import { confinementLine } from "../views/vm.ts";

/** where the values begin */
const valueColumn = 10;

export default defineCommand({
  parameters: {
    flags: {
      ...outputFlags,
      quiet: { ...outputFlags.quiet, brief: "print nothing; the exit code says whether it runs" },
    },
    aliases: outputAliases,
  },
  examples: [
    ["status", "one screen on the daemon, its VMM, memory and disks"],
    ["status --json", "the same for programs: pid, version, VMM in use and why"],
    ["status -q || echo down", "only the exit code: 0, or 3 where no daemon runs"],
  ],
  async run(cli: Cli, flags: OutputFlags) {
    const status = await cli.client.call("system.status");
    await show(cli, flags, status, {
      names: [],
      human: () => statusText(status, cli.now, cli.out.paint, cli.out.columns),
    });
  },
});

/** `columns` is the width of the terminal */
export function statusText(status: Status, now: number, paint: Paint, columns: number): string {
  const { vmm, memory, storage } = status;
  const pairs = renderPairs(
    [
      [
        "Daemon",
        `${paint("green", "running")}, version ${status.version}, pid ${status.pid}, up ${formatAge(status.startedAt, now)}`,
      ],
      ["VMM", vmm.usable ? vmmName(status) : paint("red", `${vmm.kind} cannot be used`)],
      ...wrapWords(printable(vmm.reason), columns - valueColumn).map((line) => ["", paint("dim", line)] as const),
      ["Confined", vmm.confinement === null ? null : confinementLine(vmm.confinement)],
      ["Kernel", status.kernel ?? paint("red", "none: VMs cannot start")],
      ["VMs", `${status.runningCount} of ${status.vmCount} running`],
      [
        "Memory",
        `${formatMiB(memory.committedMiB)} of ${formatMiB(memory.limitMiB)} for VMs in use (host ${formatMiB(memory.totalMiB)})`,
      ],
      ["Storage", storageLine(storage)],
      ["", paint("dim", `${storage.driver} at ${storage.directory}`)],
      ["Network", networkLine(status.network, paint)],
      ["Socket", status.socket],
      ["TCP", status.tcp ?? "off"],
      ["Records", status.database],
      ["Config", status.config ?? "none (defaults)"],
    ],
    paint,
  );
  return pairs + status.notices.map((notice) => `${paint("yellow", "notice:")} ${printable(notice)}\n`).join("");
}

function vmmName({ vmm }: Status): string {
  const how = vmm.accelerator === null ? "" : vmm.accelerator === "kvm" ? " with KVM" : " with software emulation";
  return `${vmm.kind}${vmm.version === null ? "" : ` ${vmm.version}`}${how}`;
}
