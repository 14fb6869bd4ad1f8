import type { Confinement, Vm } from "@workfort/contract";
import { printable, type Paint, type Style } from "../format/colour.ts";
import { renderPairs, renderTable, type Cell, type Column } from "../format/table.ts";
import { formatAge, formatDuration, formatMiB, formatTime } from "../format/units.ts";
import { wrapWords } from "../format/wrap.ts";
import { interfaceLine } from "./network.ts";

const stateStyles: Record<Vm["state"], Style | undefined> = {
  created: undefined,
  starting: "yellow",
  running: "green",
  paused: "yellow",
  stopping: "yellow",
  stopped: "dim",
  crashed: "red",
};

const agentStyles: Record<Vm["agent"], Style | undefined> = {
  absent: "dim",
  connecting: "yellow",
  ready: "green",
  unreachable: "red",
};

/** where the values of vmDetail begin */
const valueColumn = 12;

export function stateCell(state: Vm["state"]): Cell {
  return { text: state, style: stateStyles[state] };
}

export async function vmTable(vms: readonly Vm[], now: number, paint: Paint): Promise<string> {
  const columns: Column<Vm>[] = [
    { title: "NAME", cell: ({ name }) => name },
    { title: "STATE", cell: ({ state }) => stateCell(state) },
    { title: "AGENT", cell: ({ agent }) => ({ text: agent === "absent" ? "-" : agent, style: agentStyles[agent] }) },
    { title: "VCPUS", align: "right", cell: ({ vcpuCount }) => String(vcpuCount) },
    { title: "MEMORY", align: "right", cell: ({ memoryMiB }) => formatMiB(memoryMiB) },
    { title: "IMAGE", cell: ({ imageName }) => imageName ?? "-" },
    {
      title: "UP",
      align: "right",
      cell: (vm) => (vm.running === null || vm.startedAt === null ? "-" : formatAge(vm.startedAt, now)),
    },
    { title: "AGE", align: "right", cell: ({ createdAt }) => formatAge(createdAt, now) },
    { title: "ID", cell: ({ id }) => ({ text: id, style: "dim" }) },
  ];
  return await renderTable(columns, vms, paint);
}

/** `columns` is the width of the terminal */
export function vmDetail(vm: Vm, now: number, paint: Paint, columns: number): string {
  const { text, style } = stateCell(vm.state);
  const time = (at: number | null): string | null =>
    at === null ? null : `${formatTime(at)}  (${formatAge(at, now)} ago)`;
  const running = vm.running;
  return renderPairs(
    [
      ["Name", paint("bold", vm.name)],
      ["Id", vm.id],
      ["State", `${style === undefined ? text : paint(style, text)}  ${paint("dim", printable(vm.stateReason))}`],
      ["Agent", agentLine(vm, now, paint)],
      ["vCPUs", String(vm.vcpuCount)],
      ["Memory", formatMiB(vm.memoryMiB)],
      ["Image", vm.imageName ?? "-"],
      ["Workspace", `${vm.workspaceName}  ${paint("dim", vm.workspaceId)}`],
      ...vm.drives.map((drive, place) => [place === 0 ? "Drives" : "", driveLine(drive, paint)] as const),
      ...vm.warnings.map((warning) => ["Warning", paint("yellow", printable(warning))] as const),
      ["Restart", restartLine(vm, now)],
      ["VMM", running === null ? vm.vmm : `${running.kind}, ${accelerator(running.accelerator)}, pid ${running.pid}`],
      ...wrapWords(printable(running?.reason ?? ""), columns - valueColumn).map(
        (line) => ["", line === "" ? null : paint("dim", line)] as const,
      ),
      ["Confined", running === null ? null : confinementLine(running.confinement)],
      ["Network", vm.network === null ? "none" : interfaceLine(vm.network, paint)],
      ["CID", String(vm.cid)],
      ["Created", time(vm.createdAt)],
      ["Started", time(vm.startedAt)],
      ["Ended", running === null ? time(vm.endedAt) : null],
    ],
    paint,
  );
}

/** `ready for 5m  0.1.0` */
function agentLine({ agent, agentSince, agentVersion }: Vm, now: number, paint: Paint): string | null {
  if (agent === "absent") return null;
  const since = agentSince === null ? "" : ` for ${formatAge(agentSince, now)}`;
  const version = agentVersion === null ? "" : `  ${paint("dim", printable(agentVersion))}`;
  return `${paint(agentStyles[agent] ?? "dim", agent)}${since}${version}`;
}

/** `on-failure, in 4 s; starts with the host` */
function restartLine({ restart, restartAt, startOnBoot }: Vm, now: number): string {
  const due = restartAt === null ? "" : `, in ${formatDuration(Math.max(0, restartAt - now))}`;
  return `${restart}${due}${startOnBoot ? "; starts with the host" : ""}`;
}

/** `data on /work, read-only  vdb` */
function driveLine({ name, mountPath, readOnly, device }: Vm["drives"][number], paint: Paint): string {
  const how = [mountPath === null ? name : `${name} on ${printable(mountPath)}`, ...(readOnly ? ["read-only"] : [])];
  return `${how.join(", ")}  ${paint("dim", device)}`;
}

/** `limits by a control group, files by Landlock` */
export function confinementLine({ group, files }: Confinement): string {
  const groups = { systemd: "limits by a service of systemd", cgroup: "limits by a control group", none: "no limits" };
  const kept = { jailer: "files by the jailer", landlock: "files by Landlock", none: "all files of the host" };
  return `${groups[group]}, ${kept[files]}`;
}

export function accelerator(kind: "kvm" | "tcg"): string {
  return kind === "kvm" ? "KVM" : "software emulation";
}
