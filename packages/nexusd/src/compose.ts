import { readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { liveStates } from "@workfort/contract";
import type { Locations } from "@workfort/contract/locations";
import {
  AddressPool,
  defaultLimitMiB,
  Drives,
  Events,
  Forwards,
  HostServices,
  Images,
  Interfaces,
  Journal,
  Metrics,
  Policies,
  Reservations,
  Restarts,
  subnetsInForce,
  Supervisor,
  Tokens,
  Vms,
  Workspaces,
  type Host,
  type Logger as CoreLogger,
  type Network,
  type Subnets,
  type VmmDriver,
} from "@workfort/core";
import { Confinement } from "@workfort/host/confinement/confinement.ts";
import { ConsoleFiles } from "@workfort/host/console-files.ts";
import { http2Guests } from "@workfort/host/guest/link.ts";
import { Ext4Builder } from "@workfort/host/images/builder.ts";
import { hostListeners } from "@workfort/host/ingress/listeners.ts";
import { ServiceRelay } from "@workfort/host/ingress/service-relay.ts";
import { KernelDirectory } from "@workfort/host/kernels/kernel-directory.ts";
import { WorkplaceNetwork } from "@workfort/host/network/network.ts";
import { pathsOf, type Paths } from "@workfort/host/paths.ts";
import { BtrfsDriver } from "@workfort/host/storage/btrfs/driver.ts";
import { SqliteStore } from "@workfort/host/store/sqlite-store.ts";
import { DriverChooser } from "@workfort/host/vmm/chooser.ts";
import { FirecrackerDriver } from "@workfort/host/vmm/firecracker/driver.ts";
import { QemuDriver } from "@workfort/host/vmm/qemu/driver.ts";
import type { Logger } from "pino";
import type { Config } from "./config/schema.ts";
import { gatewayProgram, programs } from "./programs.ts";

/** The one place that knows every concrete class. */
export interface Parts {
  paths: Paths;
  store: SqliteStore;
  events: Events;
  storage: BtrfsDriver;
  vmms: DriverChooser;
  kernels: KernelDirectory;
  consoles: ConsoleFiles;
  journal: Journal;
  images: Images;
  workspaces: Workspaces;
  drives: Drives;
  policies: Policies;
  interfaces: Interfaces;
  hostServices: HostServices;
  supervisor: Supervisor;
  restarts: Restarts;
  vms: Vms;
  forwards: Forwards;
  metrics: Metrics;
  tokens: Tokens;
  /** of a VM that says nothing of them */
  vmDefaults: { memoryMiB: number; vcpuCount: number };
  memoryLimitMiB: number;
  host: Host;
  /** what the daemon wants its user to know from its start on */
  notices: string[];
}

/** in order of preference */
export function vmmDrivers(
  config: Config,
  paths: Paths,
  kernels: KernelDirectory,
  hostBootId: string,
  confinement = new Confinement({ keeperProgram: programs.keeper, files: config.vmm.confine }),
): VmmDriver[] {
  const needs = { paths, keeperProgram: programs.keeper, confinement, kernels, hostBootId };
  return [
    new FirecrackerDriver({ ...needs, configuredBinary: config.vmm.firecracker ?? null }),
    new QemuDriver({ ...needs, configuredBinary: config.vmm.qemu ?? null }),
  ];
}

/** Nothing is made before a guest is attached. */
export function workplaceNetwork(
  config: Config,
  locations: Locations,
  subnets: Subnets,
  log: CoreLogger,
  confinement = new Confinement({ keeperProgram: programs.keeper, files: config.vmm.confine }),
): Network {
  return new WorkplaceNetwork({
    paths: pathsOf(locations).network,
    stateDirectory: locations.stateDirectory,
    mode: config.network.mode,
    subnets,
    dns: config.network.dns ?? null,
    confinement,
    programs: { ...programs, gateway: gatewayProgram },
    log,
  });
}

export function compose(config: Config, locations: Locations, log: Logger): Parts {
  const paths = pathsOf(locations);
  const host: Host = {
    totalMemoryMiB: Math.floor(totalmem() / 1024 ** 2),
    bootId: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
  };
  const memoryLimitMiB = config.memory.limitMiB ?? defaultLimitMiB(host.totalMemoryMiB);
  const store = new SqliteStore(paths.database);
  const events = new Events({ store });
  const storage = new BtrfsDriver(paths, locations.dataDirectory);
  const kernels = new KernelDirectory(paths.kernels, programs.guestAgent);
  const confinement = new Confinement({ keeperProgram: programs.keeper, files: config.vmm.confine });
  const vmms = new DriverChooser(vmmDrivers(config, paths, kernels, host.bootId, confinement), config.vmm.default);
  const consoles = new ConsoleFiles(paths);
  const reservations = new Reservations();
  const journal = new Journal(store, log);
  const builder = new Ext4Builder();
  const images = new Images({ store, events, storage, builder, reservations, journal });
  const workspaces = new Workspaces({ store, events, storage, images, reservations, journal });
  const drives = new Drives({ store, events, storage, builder, reservations, journal });
  const policies = new Policies({ store, events, configured: config.network.policy });
  const isAnyLive = store.listVms().some(({ state, hasNetwork }) => hasNetwork && liveStates.has(state));
  const { ipv4Subnet: ipv4, ipv6Subnet: ipv6 } = config.network;
  const { subnets, notice } = subnetsInForce({ ipv4, ipv6 }, store.subnets(), isAnyLive);
  store.setSubnets(subnets);
  const addresses = new AddressPool(store, subnets);
  const network = workplaceNetwork(config, locations, subnets, log, confinement);
  const relay = new ServiceRelay(paths.network.services);
  const interfaces = new Interfaces({ store, network, relay, pool: addresses, policies, subnets, log });
  const supervisor = new Supervisor({
    store,
    events,
    storage,
    vmms,
    kernels,
    guests: http2Guests,
    interfaces,
    consoles,
    host,
    log,
    memoryLimitMiB,
    runDirectory: paths.run,
    onEnd: (vm, end) => restarts.noteEnd(vm, end),
  });
  const restarts: Restarts = new Restarts({ store, log, start: (vmId, reason) => vms.startUnasked(vmId, reason) });
  const forwards = new Forwards({ store, supervisor, listeners: hostListeners, log });
  const vms: Vms = new Vms({
    store,
    events,
    storage,
    images,
    workspaces,
    drives,
    forwards,
    addresses,
    policies,
    interfaces,
    supervisor,
    consoles,
    reservations,
    restarts,
    journal,
    defaults: config.vm,
  });
  return {
    paths,
    store,
    events,
    storage,
    vmms,
    kernels,
    consoles,
    journal,
    images,
    workspaces,
    drives,
    policies,
    interfaces,
    hostServices: new HostServices({ store, events, policies, interfaces }),
    supervisor,
    restarts,
    vms,
    forwards,
    metrics: new Metrics({ store, supervisor, interfaces }),
    // loaded when a token names tools: an idle daemon has no use for them
    tokens: new Tokens({ store, toolNames: async () => (await import("@workfort/mcp/tools")).toolNames }),
    vmDefaults: config.vm,
    memoryLimitMiB,
    host,
    notices: [store.notice, notice].filter((text) => text !== null),
  };
}
