import type { RateLimit } from "@workfort/contract";
import { mountArguments, type AttachedNetwork, type Kernel, type VmSpec } from "@workfort/core";
import type { Places } from "./places.ts";
import { hasConsoleLimit } from "./version.ts";
import { probeArgument, probeMemoryMiB } from "../kvm-probe.ts";

/** one request to Firecracker's API */
export interface Setting {
  path: string;
  body: Record<string, unknown>;
}

/**
 * `reboot=k`: a reboot is a reset by the keyboard controller, which ends Firecracker; a power-off does not.
 * `8250.nr_uarts=1`: there is one serial port, and looking for more costs a hundred lines of log.
 * `i8042.*`: no looking for a mouse; the keyboard stays, since Ctrl-Alt-Del comes through it.
 * `cryptomgr.notests`: no self-tests of the kernel's ciphers.
 */
const bootArguments = [
  "console=ttyS0",
  "quiet",
  "panic=-1",
  "reboot=k",
  "8250.nr_uarts=1",
  "i8042.noaux",
  "i8042.nomux",
  "i8042.dumbkbd",
  "cryptomgr.notests",
];

/** where its boot timer listens on x86, in hexadecimal (its `BOOT_DEVICE_MEM_START`) */
const bootTimerArgument = "workfort.boot-timer=c0000000";
/** what a guest may say on its console in a second; the rest of a flood is dropped before it costs the host anything */
const consoleBytesPerSecond = 1024 ** 2;

/** Everything a VM is told before it boots, in an order that Firecracker always accepts; all paths as it sees them. */
export function settingsOf(spec: VmSpec, places: Places, version: string): Setting[] {
  return [
    { path: "/metrics", body: { metrics_path: places.metrics } },
    {
      path: "/machine-config",
      body: { vcpu_count: spec.vcpuCount, mem_size_mib: spec.memoryMiB, smt: false, track_dirty_pages: false },
    },
    {
      path: "/boot-source",
      body: bootSource(places.kernel, [
        bootTimerArgument,
        `workfort.hostname=${spec.name}`,
        ...mountArguments(spec.mounts),
        ...(spec.network?.bootArguments ?? []),
      ]),
    },
    ...spec.drives.map((drive, index) => ({
      path: `/drives/drive${index}`,
      body: {
        drive_id: `drive${index}`,
        path_on_host: places.drives[index],
        // the agent mounts it, from the initramfs
        is_root_device: false,
        is_read_only: drive.readOnly,
        // its default tells the guest of no flush, and fsync would be a lie
        cache_type: "Writeback",
        ...(drive.rateLimit === null ? {} : { rate_limiter: rateLimiter(drive.rateLimit) }),
      },
    })),
    ...(spec.network === null ? [] : [interfaceOf(spec.network)]),
    ...(hasConsoleLimit(version) ? [{ path: "/serial", body: { rate_limiter: bucket(consoleBytesPerSecond) } }] : []),
    { path: "/vsock", body: { guest_cid: spec.cid, uds_path: places.vsock } },
    { path: "/entropy", body: {} },
    // never inflated by us: it is there so that the guest gives back the pages it frees
    { path: "/balloon", body: { amount_mib: 0, deflate_on_oom: true, free_page_reporting: true } },
  ];
}

/** A configuration file that boots a kernel once, without any disk. */
export function probeConfiguration(kernel: Kernel): Record<string, unknown> {
  return {
    "machine-config": { vcpu_count: 1, mem_size_mib: probeMemoryMiB },
    "boot-source": bootSource(kernel, [probeArgument]),
    drives: [],
  };
}

function bootSource(kernel: Pick<Kernel, "vmlinux" | "initramfs">, more: readonly string[]): Record<string, unknown> {
  return {
    kernel_image_path: kernel.vmlinux,
    initrd_path: kernel.initramfs,
    boot_args: [...bootArguments, ...more].join(" "),
  };
}

/** Its tap is opened when this is asked for, in the namespace that Firecracker was started in. */
function interfaceOf({ tap, macAddress }: AttachedNetwork): Setting {
  return {
    path: "/network-interfaces/eth0",
    body: { iface_id: "eth0", host_dev_name: tap, guest_mac: macAddress },
  };
}

function rateLimiter({ bytesPerSecond, operationsPerSecond }: RateLimit): Record<string, unknown> {
  return {
    ...(bytesPerSecond === null ? {} : { bandwidth: bucket(bytesPerSecond) }),
    ...(operationsPerSecond === null ? {} : { ops: bucket(operationsPerSecond) }),
  };
}

/** A token bucket that is refilled over a second. */
function bucket(size: number): Record<string, unknown> {
  return { size, refill_time: 1000 };
}
