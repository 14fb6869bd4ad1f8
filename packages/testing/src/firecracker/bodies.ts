import {
  anything,
  bool,
  defaulting,
  integer,
  ipv4Address,
  list,
  logLevel,
  macAddress,
  optional,
  required,
  struct,
  text,
  variant,
} from "./shapes.ts";

/** The bodies of Firecracker's requests, in the order in which it names their fields. */
export interface TokenBucket {
  size: number;
  one_time_burst: number | null;
  refill_time: number;
}

export interface RateLimiter {
  bandwidth: TokenBucket | null;
  ops: TokenBucket | null;
}

const tokenBucket = struct<TokenBucket>(
  "TokenBucketConfig",
  { size: required(integer("u64")), one_time_burst: optional(integer("u64")), refill_time: required(integer("u64")) },
  true,
);
const rateLimiter = struct<RateLimiter>("RateLimiterConfig", {
  bandwidth: optional(tokenBucket),
  ops: optional(tokenBucket),
});

const hugePages = variant("None", "2M");
const cpuTemplate = variant("C3", "T2", "T2S", "None", "T2CL", "T2A");

export interface MachineConfig {
  vcpu_count: number;
  mem_size_mib: number;
  smt: boolean;
  cpu_template: string | null;
  track_dirty_pages: boolean;
  huge_pages: string;
}

export const machineConfig = struct<MachineConfig>("MachineConfig", {
  vcpu_count: required(integer("u8")),
  mem_size_mib: required(integer("usize")),
  smt: defaulting(bool, false),
  cpu_template: optional(cpuTemplate),
  track_dirty_pages: defaulting(bool, false),
  huge_pages: defaulting(hugePages, "None"),
});

/** what is null stays as it is */
export type MachineConfigUpdate = { [K in keyof MachineConfig]: MachineConfig[K] | null };

export const machineConfigUpdate = struct<MachineConfigUpdate>("MachineConfigUpdate", {
  vcpu_count: optional(integer("u8")),
  mem_size_mib: optional(integer("usize")),
  smt: optional(bool),
  cpu_template: optional(cpuTemplate),
  track_dirty_pages: optional(bool),
  huge_pages: optional(hugePages),
});

export interface BootSource {
  kernel_image_path: string;
  initrd_path: string | null;
  boot_args: string | null;
}

export const bootSource = struct<BootSource>("BootSourceConfig", {
  kernel_image_path: required(text),
  initrd_path: optional(text),
  boot_args: optional(text),
});

export interface Drive {
  drive_id: string;
  partuuid: string | null;
  is_root_device: boolean;
  cache_type: "Unsafe" | "Writeback";
  is_read_only: boolean | null;
  path_on_host: string | null;
  rate_limiter: RateLimiter | null;
  io_engine: string | null;
  socket: string | null;
}

export const drive = struct<Drive>("BlockDeviceConfig", {
  drive_id: required(text),
  partuuid: optional(text),
  is_root_device: required(bool),
  cache_type: defaulting(variant("Unsafe", "Writeback"), "Unsafe"),
  is_read_only: optional(bool),
  path_on_host: optional(text),
  rate_limiter: optional(rateLimiter),
  io_engine: optional(variant("Sync", "Async")),
  socket: optional(text),
});

export interface DriveUpdate {
  drive_id: string;
  path_on_host: string | null;
  rate_limiter: RateLimiter | null;
}

export const driveUpdate = struct<DriveUpdate>("BlockDeviceUpdateConfig", {
  drive_id: required(text),
  path_on_host: optional(text),
  rate_limiter: optional(rateLimiter),
});

export interface Interface {
  iface_id: string;
  host_dev_name: string;
  guest_mac: string | null;
  rx_rate_limiter: RateLimiter | null;
  tx_rate_limiter: RateLimiter | null;
}

export const networkInterface = struct<Interface>("NetworkInterfaceConfig", {
  iface_id: required(text),
  host_dev_name: required(text),
  guest_mac: optional(macAddress),
  rx_rate_limiter: optional(rateLimiter),
  tx_rate_limiter: optional(rateLimiter),
});

export const interfaceUpdate = struct<Pick<Interface, "iface_id" | "rx_rate_limiter" | "tx_rate_limiter">>(
  "NetworkInterfaceUpdateConfig",
  { iface_id: required(text), rx_rate_limiter: optional(rateLimiter), tx_rate_limiter: optional(rateLimiter) },
);

export interface Vsock {
  vsock_id: string | null;
  guest_cid: number;
  uds_path: string;
}

export const vsock = struct<Vsock>("VsockDeviceConfig", {
  vsock_id: optional(text),
  guest_cid: required(integer("u32")),
  uds_path: required(text),
});

export interface Balloon {
  amount_mib: number;
  deflate_on_oom: boolean;
  stats_polling_interval_s: number;
  free_page_hinting: boolean;
  free_page_reporting: boolean;
}

export const balloon = struct<Balloon>("BalloonDeviceConfig", {
  amount_mib: required(integer("u32")),
  deflate_on_oom: required(bool),
  stats_polling_interval_s: defaulting(integer("u16"), 0),
  free_page_hinting: defaulting(bool, false),
  free_page_reporting: defaulting(bool, false),
});

export const balloonUpdate = struct<{ amount_mib: number }>("BalloonUpdateConfig", {
  amount_mib: required(integer("u32")),
});

export const balloonStatisticsUpdate = struct<{ stats_polling_interval_s: number }>("BalloonUpdateStatsConfig", {
  stats_polling_interval_s: required(integer("u16")),
});

export const entropy = struct<{ rate_limiter: RateLimiter | null }>("EntropyDeviceConfig", {
  rate_limiter: optional(rateLimiter),
});

export interface Serial {
  serial_out_path: string | null;
}

export const serial = struct<Serial>("SerialConfig", {
  serial_out_path: optional(text),
});

export interface LoggerConfig {
  log_path: string | null;
  level: string | null;
  show_level: boolean | null;
  show_log_origin: boolean | null;
  module: string | null;
}

export const logger = struct<LoggerConfig>("LoggerConfig", {
  log_path: optional(text),
  level: optional(logLevel),
  show_level: optional(bool),
  show_log_origin: optional(bool),
  module: optional(text),
});

export const metrics = struct<{ metrics_path: string }>("MetricsConfig", { metrics_path: required(text) }, true);

export interface MmdsConfig {
  version: "V1" | "V2";
  network_interfaces: string[];
  ipv4_address: string | null;
  imds_compat: boolean;
}

export const mmdsConfig = struct<MmdsConfig>("MmdsConfig", {
  version: defaulting(variant("V1", "V2"), "V1"),
  network_interfaces: required(list(text)),
  ipv4_address: optional(ipv4Address),
  imds_compat: defaulting(bool, false),
});

export const cpuConfig = struct("CustomCpuTemplate", {
  kvm_capabilities: defaulting(list(text), []),
  cpuid_modifiers: defaulting(list(anything), []),
  msr_modifiers: defaulting(list(anything), []),
});

export const action = struct<{ action_type: "FlushMetrics" | "InstanceStart" | "SendCtrlAltDel" }>("ActionBody", {
  action_type: required(variant("FlushMetrics", "InstanceStart", "SendCtrlAltDel")),
});

export const vmState = struct<{ state: "Paused" | "Resumed" }>("Vm", { state: required(variant("Paused", "Resumed")) });

export interface SnapshotCreate {
  snapshot_type: "Diff" | "Full";
  snapshot_path: string;
  mem_file_path: string;
}

export const snapshotCreate = struct<SnapshotCreate>("CreateSnapshotParams", {
  snapshot_type: defaulting(variant("Diff", "Full"), "Full"),
  snapshot_path: required(text),
  mem_file_path: required(text),
});

export interface NetworkOverride {
  iface_id: string;
  host_dev_name: string;
}

export interface SnapshotLoad {
  snapshot_path: string;
  mem_file_path: string | null;
  mem_backend: { backend_path: string; backend_type: "File" | "Uffd" } | null;
  enable_diff_snapshots: boolean;
  track_dirty_pages: boolean;
  resume_vm: boolean;
  network_overrides: NetworkOverride[];
  clock_realtime: boolean;
}

export const snapshotLoad = struct<SnapshotLoad>("LoadSnapshotConfig", {
  snapshot_path: required(text),
  mem_file_path: optional(text),
  mem_backend: optional(
    struct<NonNullable<SnapshotLoad["mem_backend"]>>("MemBackendConfig", {
      backend_path: required(text),
      backend_type: required(variant("File", "Uffd")),
    }),
  ),
  enable_diff_snapshots: defaulting(bool, false),
  track_dirty_pages: defaulting(bool, false),
  resume_vm: defaulting(bool, false),
  network_overrides: defaulting(
    list(struct<NetworkOverride>("NetworkOverride", { iface_id: required(text), host_dev_name: required(text) }, true)),
    [],
  ),
  clock_realtime: defaulting(bool, false),
});
