import { qemuArguments } from "@workfort/host/vmm/qemu/arguments.ts";
import type { Balloon, BootSource, Drive, MachineConfig } from "./bodies.ts";

/** what a VM is booted with */
export interface GuestPlan {
  /** of the microVM, so that its process can be told from others */
  id: string;
  machine: MachineConfig;
  boot: BootSource;
  drives: readonly Drive[];
  balloon: Balloon | null;
  hasEntropy: boolean;
  /** descriptors, and the MAC addresses of those that were given one */
  /** of the guest's clock behind the host's, s */
  clockLateBy: number;
  taps: readonly { tap: number; macAddress: string | null }[];
}

/** of the monitor's socket among the descriptors that QEMU inherits; the taps come after it */
const monitorDescriptor = 3;

/** used where no arguments are given */
const usualBootArguments =
  "reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux i8042.dumbkbd swiotlb=noforce";

/** The command line of QEMU for a VM that Firecracker would boot, without the program; `line` is what it is reached by. */
export function guestArguments(plan: GuestPlan, line: readonly string[], counterKhz: number | null): string[] {
  const { boot, drives, balloon } = plan;
  const emulation = emulationOf(plan, counterKhz);
  return [
    ...emulation.machine,
    "-name",
    plan.id,
    "-kernel",
    boot.kernel_image_path,
    ...(boot.initrd_path === null ? [] : ["-initrd", boot.initrd_path]),
    "-append",
    commandLine(boot, drives[0], emulation.kernelWords),
    "-chardev",
    `socket,id=monitor,fd=${monitorDescriptor}`,
    "-mon",
    "chardev=monitor,mode=control",
    ...(plan.clockLateBy === 0 ? [] : ["-rtc", `base=${isoSeconds(Date.now() - plan.clockLateBy * 1000)}`]),
    ...line,
    ...(plan.hasEntropy ? ["-device", "virtio-rng-device"] : []),
    ...(balloon === null ? [] : ["-device", balloonDevice(balloon)]),
    ...plan.taps.flatMap(({ macAddress }, index) => [
      "-netdev",
      `tap,id=net${index},fd=${monitorDescriptor + 1 + index},vhost=off`,
      "-device",
      `virtio-net-device,netdev=net${index}${macAddress === null ? "" : `,mac=${macAddress}`}`,
    ]),
    ...drives.flatMap((drive, index) => [
      "-drive",
      driveOption(drive, index),
      "-device",
      `virtio-blk-device,drive=drive${index}`,
    ]),
  ];
}

/** What was asked for, what Firecracker appends to it, and what an emulated kernel needs besides. */
function commandLine(boot: BootSource, first: Drive | undefined, emulationWords: readonly string[]): string {
  const root = first?.is_root_device === true ? [rootArgument(first)] : [];
  const asked = boot.boot_args ?? usualBootArguments;
  return [asked, "pci=off", ...root, ...emulationWords].filter((word) => word !== "").join(" ");
}

function rootArgument({ partuuid, is_read_only }: Drive): string {
  return `root=${partuuid === null ? "/dev/vda" : `PARTUUID=${partuuid}`} ${is_read_only === true ? "ro" : "rw"}`;
}

/**
 * The machine as our own driver has it under software emulation, and what it tells the kernel there: of its clocks,
 * and that a triple fault resets the machine, which has no keyboard controller to do so.
 */
function emulationOf(
  { machine, boot }: GuestPlan,
  counterKhz: number | null,
): { machine: string[]; kernelWords: string[] } {
  const spec: Parameters<typeof qemuArguments>[0] = {
    id: "vm_ofthedouble2",
    name: "double",
    cid: 3,
    vcpuCount: machine.vcpu_count,
    memoryMiB: machine.mem_size_mib,
    kernel: { version: "", vmlinux: boot.kernel_image_path, initramfs: "" },
    drives: [],
    mounts: [],
    network: null,
    directory: "",
  };
  const emulated = qemuArguments(spec, "tcg", counterKhz);
  const usualWords = kernelWordsIn(qemuArguments(spec, "kvm", null));
  return {
    machine: emulated.slice(0, emulated.indexOf("-name")),
    kernelWords: [...kernelWordsIn(emulated).filter((word) => !usualWords.includes(word)), "reboot=t"],
  };
}

/** as QEMU takes a time */
function isoSeconds(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19);
}

function kernelWordsIn(argv: readonly string[]): string[] {
  return argv[argv.indexOf("-append") + 1]?.split(" ") ?? [];
}

/** Unlike QEMU's own way it takes no lock on the file, nor does Firecracker. */
function driveOption(drive: Drive, index: number): string {
  const { bandwidth = null, ops = null } = drive.rate_limiter ?? {};
  const throttling = { "bps-total": bandwidth, "iops-total": ops };
  return [
    `id=drive${index},if=none,format=raw,aio=threads,werror=report,rerror=report`,
    `cache=${drive.cache_type === "Writeback" ? "writeback" : "unsafe"}`,
    `read-only=${drive.is_read_only === true ? "on" : "off"}`,
    ...Object.entries(throttling).flatMap(([name, bucket]) =>
      bucket === null ? [] : [`throttling.${name}=${perSecond(bucket)}`],
    ),
    `file.driver=file,file.locking=off,file.filename=${escapeCommas(drive.path_on_host ?? "")}`,
  ].join(",");
}

export function perSecond({ size, refill_time }: { size: number; refill_time: number }): number {
  return Math.max(1, Math.round((size * 1000) / refill_time));
}

function balloonDevice({ deflate_on_oom, free_page_reporting }: Balloon): string {
  const onOff = (on: boolean): string => (on ? "on" : "off");
  return `virtio-balloon-device,id=balloon,deflate-on-oom=${onOff(deflate_on_oom)},free-page-reporting=${onOff(free_page_reporting)}`;
}

/** QEMU's option syntax writes a comma inside a value twice. */
function escapeCommas(value: string): string {
  return value.replaceAll(",", ",,");
}
