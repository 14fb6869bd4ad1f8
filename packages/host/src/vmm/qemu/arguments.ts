import type { Accelerator } from "@workfort/contract";
import { mountArguments, type AttachedDisk, type AttachedNetwork, type Kernel, type VmSpec } from "@workfort/core";
import { runPaths } from "../../paths.ts";
import { probeArgument, probeMemoryMiB } from "../kvm-probe.ts";

/** name of the agent's port (codex/reference/guest-protocol.md) */
const agentPortName = "org.workfort.agent.0";

/**
 * Translated code that software emulation keeps, MiB: when it is full, all of it is thrown away. An eighth of the
 * guest's memory, since large guests run large programs; QEMU's own default is an eighth of the host's.
 */
export function translationCacheMiB(memoryMiB: number): number {
  return Math.max(128, Math.floor(memoryMiB / 8));
}

/** no looking for a mouse, no self-tests of the kernel's ciphers */
const shorter = ["i8042.noaux", "i8042.nomux", "i8042.dumbkbd", "cryptomgr.notests"];

/**
 * For a processor that is emulated: what the kernel does against speculation does nothing there, since the host's
 * processor runs QEMU's translation and not that code, and code that is patched at boot is translated twice.
 */
const emulated = ["mitigations=off", "noreplace-smp"];

/**
 * What the kernel is told. Under software emulation it can neither check its timer nor calibrate its clocks reliably:
 * on a busy host two boots of three hung in the calibration of the local timer until `tsc_early_khz` named the
 * frequency of the host's counter (codex/decisions/0003-told-not-calibrated.md).
 */
function kernelArguments(accelerator: Accelerator, counterKhz: number | null, more: readonly string[]): string {
  const clock = counterKhz === null ? [] : [`tsc_early_khz=${counterKhz}`];
  const emulation =
    accelerator === "tcg" ? ["tsc=reliable", "no_timer_check", "lpj=1000000", ...clock, ...emulated] : [];
  return ["console=ttyS0", "quiet", "panic=-1", "reboot=t", ...shorter, ...emulation, ...more].join(" ");
}

/**
 * The emulated processor, without what costs most to emulate. With ERMS the kernel clears and copies pages by a string
 * instruction that is emulated byte by byte: a boot takes 6 % longer, and where a page held code before, of a VM in a
 * VM, every byte drops translations; clearing 2 MiB took half a minute. A fifth level of page tables (LA57) is one more
 * to walk at every miss. (FSRM is ERMS again, in newer versions.)
 */
const emulatedProcessor = "max,-erms,-fsrm,-la57";

/** The machine every VM and every probe gets. */
function machineArguments(accelerator: Accelerator, memoryMiB: number, vcpuCount: number): string[] {
  const options = accelerator === "tcg" ? `tcg,tb-size=${translationCacheMiB(memoryMiB)}` : "kvm";
  return [
    "-machine",
    "microvm,pit=on,pic=on,rtc=on,memory-backend=memory",
    "-accel",
    options,
    "-cpu",
    accelerator === "kvm" ? "host" : emulatedProcessor,
    "-smp",
    String(vcpuCount),
    "-m",
    `${memoryMiB}M`,
    // never a file on the copy-on-write file system
    "-object",
    `memory-backend-memfd,id=memory,size=${memoryMiB}M,share=on`,
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    "-no-reboot",
    "-sandbox",
    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
    "-chardev",
    "stdio,id=console,signal=off",
    "-serial",
    "chardev:console",
    // a keyboard, for Ctrl-Alt-Del
    "-device",
    "i8042",
  ];
}

/** Boots a kernel once on KVM, without any disk. */
export function probeArguments(kernel: Kernel): string[] {
  return [
    ...machineArguments("kvm", probeMemoryMiB, 1),
    "-kernel",
    kernel.vmlinux,
    "-initrd",
    kernel.initramfs,
    "-append",
    kernelArguments("kvm", null, [probeArgument]),
  ];
}

/** The whole command line of one VM, without the program. */
export function qemuArguments(spec: VmSpec, accelerator: Accelerator, counterKhz: number | null): string[] {
  const sockets = runPaths(spec.directory);
  return [
    ...machineArguments(accelerator, spec.memoryMiB, spec.vcpuCount),
    "-name",
    spec.name,
    "-kernel",
    spec.kernel.vmlinux,
    "-initrd",
    spec.kernel.initramfs,
    "-append",
    kernelArguments(accelerator, counterKhz, [
      `workfort.hostname=${spec.name}`,
      ...mountArguments(spec.mounts),
      ...(spec.network?.bootArguments ?? []),
    ]),
    "-device",
    "virtio-serial-device,max_ports=2",
    "-chardev",
    `socket,id=agent,path=${escapeCommas(sockets.agent)},server=on,wait=off`,
    "-device",
    `virtserialport,chardev=agent,nr=1,name=${agentPortName}`,
    "-qmp",
    `unix:${escapeCommas(sockets.qmp)},server=on,wait=off`,
    "-device",
    "virtio-rng-device",
    ...(spec.network === null ? [] : interfaceArguments(spec.network)),
    // a full store is the guest's I/O error, as with Firecracker; QEMU's own way is to stop the machine without a word
    ...spec.drives.flatMap((drive, index) => [
      "-drive",
      [
        `id=drive${index},if=none,format=raw,cache=writeback,aio=threads,discard=unmap,werror=report,rerror=report`,
        `read-only=${drive.readOnly ? "on" : "off"}`,
        ...throttling(drive),
        `file=${escapeCommas(drive.path)}`,
      ].join(","),
      "-device",
      `virtio-blk-device,drive=drive${index}`,
    ]),
  ];
}

/** Its tap is there, and in the namespace that QEMU is started in. */
function interfaceArguments({ tap, macAddress }: AttachedNetwork): string[] {
  return [
    "-netdev",
    `tap,id=net0,ifname=${tap},script=no,downscript=no,vhost=off`,
    "-device",
    `virtio-net-device,netdev=net0,mac=${macAddress}`,
  ];
}

/** reading and writing together; a limit that is not there is not named */
function throttling({ rateLimit }: AttachedDisk): string[] {
  const limits = { "bps-total": rateLimit?.bytesPerSecond, "iops-total": rateLimit?.operationsPerSecond };
  return Object.entries(limits).flatMap(([name, limit]) => (limit == null ? [] : [`throttling.${name}=${limit}`]));
}

/** QEMU's option syntax writes a comma inside a value twice. */
function escapeCommas(value: string): string {
  return value.replaceAll(",", ",,");
}
