import { shownMachineConfig } from "./machine-config.ts";
import type { Vm } from "./vm.ts";

/** Everything a VM has been told, as GET /vm/config shows it; what it was not told is null. */
export function describeVm(vm: Vm): string {
  // once it runs they are told in the order of a hash map, so that nobody can rely on any
  const drives = vm.hasBooted ? vm.drives.all.toReversed() : vm.drives.all;
  return JSON.stringify({
    balloon: vm.balloon,
    drives: drives.map((drive) => ({
      drive_id: drive.drive_id,
      partuuid: drive.partuuid,
      is_root_device: drive.is_root_device,
      cache_type: drive.cache_type,
      is_read_only: drive.is_read_only,
      path_on_host: drive.path_on_host,
      rate_limiter: drive.rate_limiter,
      io_engine: drive.io_engine,
      socket: drive.socket,
    })),
    "boot-source": vm.boot ?? { kernel_image_path: "", initrd_path: null, boot_args: null },
    "cpu-config": null,
    logger: null,
    "machine-config": shownMachineConfig(vm.machine),
    metrics: null,
    "mmds-config": vm.mmds.config,
    "network-interfaces": vm.interfaces.all,
    vsock: vm.vsock,
    entropy: vm.entropy,
    pmem: [],
    "memory-hotplug": null,
  });
}
