import { closeSync, writeSync } from "node:fs";
import { openForLines } from "./log.ts";

/**
 * Firecracker's metrics: a JSON object a line, whose counters begin again with each line. Requests, the times of pause
 * and resume, and what each disk does are counted; other devices stand there with zeros, since QEMU has them.
 */
const counters: Record<string, readonly string[]> = {
  balloon: ["activate_fails", "inflate_count", "stats_updates_count", "deflate_count", "event_fails"],
  block: ["flush_count", "read_bytes", "write_bytes", "read_count", "write_count", "update_count", "update_fails"],
  deprecated_api: ["deprecated_http_api_calls"],
  entropy: ["entropy_event_count", "entropy_bytes"],
  get_api_requests: ["instance_info_count", "machine_cfg_count", "mmds_count", "vmm_version_count"],
  i8042: ["error_count", "read_count", "reset_count", "write_count"],
  latencies_us: [
    "full_create_snapshot",
    "diff_create_snapshot",
    "load_snapshot",
    "pause_vm",
    "resume_vm",
    "vmm_full_create_snapshot",
    "vmm_diff_create_snapshot",
    "vmm_load_snapshot",
    "vmm_pause_vm",
    "vmm_resume_vm",
  ],
  logger: ["missed_metrics_count", "metrics_fails", "missed_log_count", "rate_limited_log_count"],
  mmds: ["rx_count", "tx_count"],
  net: ["rx_bytes_count", "rx_packets_count", "tx_bytes_count", "tx_packets_count"],
  patch_api_requests: ["drive", "network", "machine_cfg", "mmds"].flatMap(countAndFails),
  put_api_requests: [
    "actions",
    "boot_source",
    "drive",
    "logger",
    "machine_cfg",
    "metrics",
    "network",
    "mmds",
    "vsock",
    "serial",
  ].flatMap(countAndFails),
  seccomp: ["num_faults"],
  signals: ["sigbus", "sigsegv", "sigxfsz", "sigxcpu", "sigpipe", "sighup", "sigill"],
  uart: ["error_count", "flush_count", "missed_write_count", "read_count", "write_count"],
  vcpu: ["exit_io_in", "exit_io_out", "exit_mmio_read", "exit_mmio_write", "failures"],
  vmm: ["panic_count"],
  vsock: ["rx_bytes_count", "tx_bytes_count", "conns_added", "conns_killed", "conns_removed"],
};

/** paths as the counters name them */
const counted: Record<string, string> = {
  "boot-source": "boot_source",
  drives: "drive",
  "machine-config": "machine_cfg",
  "network-interfaces": "network",
};

export class Metrics {
  #file: number | null = null;
  #values = new Map<string, number>();

  /** Throws where the path cannot be opened; false where another one is open, which it leaves so. */
  open(path: string): boolean {
    const file = openForLines(path);
    if (this.#file !== null) closeSync(file);
    else this.#file = file;
    return this.#file === file;
  }

  count(group: string, name: string, by = 1): void {
    const key = `${group}.${name}`;
    this.#values.set(key, (this.#values.get(key) ?? 0) + by);
  }

  /** Of what is no counter, the last value. */
  set(group: string, name: string, value: number): void {
    this.#values.set(`${group}.${name}`, value);
  }

  /** Counts a request, and whether it was refused. */
  countRequest(method: string, path: string, refused: boolean): void {
    const name = path.split("/")[1] ?? "";
    if (method === "GET") {
      const names: Record<string, string> = { "": "instance_info", version: "vmm_version", mmds: "mmds" };
      this.count("get_api_requests", `${names[name] ?? counted[name] ?? name}_count`);
    } else {
      const group = `${method.toLowerCase()}_api_requests`;
      this.count(group, `${counted[name] ?? name}_count`);
      if (refused) this.count(group, `${counted[name] ?? name}_fails`);
    }
  }

  /** Writes a line where there is a file; devices have a group of their own beside the sum. */
  flush(devices: readonly string[] = []): void {
    if (this.#file === null) return;
    const values = this.#values;
    this.#values = new Map([...values].filter(([key]) => key.startsWith("latencies_us.")));
    const group = (name: string, names: readonly string[]): Record<string, number> =>
      Object.fromEntries(names.map((counter) => [counter, values.get(`${name}.${counter}`) ?? 0]));
    const line = {
      utc_timestamp_ms: Date.now(),
      api_server: { process_startup_time_us: 0, process_startup_time_cpu_us: 0 },
      ...Object.fromEntries(devices.map((name) => [name, group(name, counters[name.split("_")[0] ?? ""] ?? [])])),
      ...Object.fromEntries(Object.entries(counters).map(([name, names]) => [name, group(name, names)])),
    };
    try {
      writeSync(this.#file, `${JSON.stringify(line)}\n`);
    } catch {
      this.count("logger", "missed_metrics_count");
    }
  }
}

function countAndFails(name: string): string[] {
  return [`${name}_count`, `${name}_fails`];
}
