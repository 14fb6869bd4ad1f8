import { promises as fs } from "node:fs";
import type { DiskMetrics, VmMetrics, VmNetworkCounters, VmState } from "@workfort/contract";
import { vmStates } from "@workfort/contract";
import { Counter, Gauge, Registry } from "prom-client";

/** Unix seconds */
const startedAt = Date.now() / 1000 - process.uptime();

const diskCounters: Record<keyof DiskMetrics, { name: string; help: string }> = {
  readBytes: { name: "read_bytes", help: "Bytes that guests have read" },
  writtenBytes: { name: "written_bytes", help: "Bytes that guests have written" },
  reads: { name: "reads", help: "Read operations of guests" },
  writes: { name: "writes", help: "Write operations of guests" },
  flushes: { name: "flushes", help: "Flushes of guests" },
};

const networkCounters: Record<keyof VmNetworkCounters, { name: string; help: string }> = {
  sentBytes: { name: "sent_bytes", help: "Bytes that guests have sent" },
  sentPackets: { name: "sent_packets", help: "Packets that guests have sent" },
  receivedBytes: { name: "received_bytes", help: "Bytes that guests have received" },
  receivedPackets: { name: "received_packets", help: "Packets that guests have received" },
  deniedPackets: { name: "denied_packets", help: "Packets and names that policies did not let through" },
};

export interface Scrape {
  version: string;
  states: readonly VmState[];
  memory: { limitMiB: number; committedMiB: number };
  vms: readonly VmMetrics[];
}

/** What Prometheus reads, in its text format. */
export async function prometheusText(scrape: Scrape): Promise<string> {
  const register = new Registry();
  const registers = [register];
  const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[] = []): Gauge<Label> =>
    new Gauge({ name: `workfort_${name}`, help, labelNames, registers });
  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> =>
    new Counter({ name: `workfort_${name}_total`, help, labelNames, registers });

  await tellOwnProcess(register);
  gauge("build_info", "The daemon's version", ["version"]).set({ version: scrape.version }, 1);
  const states = gauge("vms", "VMs by state", ["state"]);
  for (const state of vmStates) states.set({ state }, scrape.states.filter((one) => one === state).length);
  gauge("memory_limit_bytes", "Memory that VMs may have in all").set(scrape.memory.limitMiB * 1024 ** 2);
  gauge("memory_committed_bytes", "Memory that live VMs count for").set(scrape.memory.committedMiB * 1024 ** 2);

  const processor = counter("vm_processor_seconds", "Processor time of a VM's VMM, its guest's included", ["vm"]);
  const resident = gauge("vm_resident_bytes", "Memory of the host that a VM's VMM has", ["vm"]);
  const answered = gauge("vm_disks_answered", "Whether a VM's VMM has told of its disks in time", ["vm"]);
  const disks = Object.entries(diskCounters).map(
    ([key, { name, help }]) => [key as keyof DiskMetrics, counter(`vm_disk_${name}`, help, ["vm", "disk"])] as const,
  );
  const networks = Object.entries(networkCounters).map(
    ([key, { name, help }]) => [key as keyof VmNetworkCounters, counter(`vm_network_${name}`, help, ["vm"])] as const,
  );
  for (const vm of scrape.vms) {
    processor.inc({ vm: vm.name }, vm.processorSeconds);
    resident.set({ vm: vm.name }, vm.residentBytes);
    answered.set({ vm: vm.name }, vm.disks === null ? 0 : 1);
    for (const disk of vm.disks ?? [])
      for (const [key, series] of disks) series.inc({ vm: vm.name, disk: disk.name }, disk[key]);
    if (vm.network !== null) for (const [key, series] of networks) series.inc({ vm: vm.name }, vm.network[key]);
  }
  return await register.metrics();
}

/**
 * The daemon's own process, under the names that Prometheus' clients agree on. prom-client has such a collector, but it
 * samples the event loop's delay and so wakes an idle daemon a hundred times a second.
 */
async function tellOwnProcess(register: Registry): Promise<void> {
  const registers = [register];
  const gauge = (name: string, help: string, value: number): void =>
    new Gauge({ name: `process_${name}`, help, registers }).set(value);
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  const processor = "Processor time of the daemon, of user and system";
  new Counter({ name: "process_cpu_seconds_total", help: processor, registers }).inc(
    (userCPUTime + systemCPUTime) / 1e6,
  );
  gauge("start_time_seconds", "When the daemon started, Unix time", startedAt);
  gauge("resident_memory_bytes", "Memory of the host that the daemon has", process.memoryUsage.rss());
  gauge("open_fds", "Files, sockets and pipes that the daemon has open", (await fs.readdir("/proc/self/fd")).length);
}
