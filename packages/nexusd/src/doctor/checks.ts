import { constants, promises as fs, readFileSync } from "node:fs";
import { totalmem, userInfo } from "node:os";
import { vmmKinds, WorkfortError, type Check, type VmmStatus } from "@workfort/contract";
import type { Locations } from "@workfort/contract/locations";
import { defaultLimitMiB } from "@workfort/core";
import { KernelDirectory } from "@workfort/host/kernels/kernel-directory.ts";
import { pathsOf } from "@workfort/host/paths.ts";
import { checkStore } from "@workfort/host/storage/store-check.ts";
import { findProgram } from "@workfort/host/process/find-program.ts";
import { DriverChooser } from "@workfort/host/vmm/chooser.ts";
import { linkOf, tagOf } from "@workfort/host/network/tag.ts";
import { vmmDrivers, workplaceNetwork } from "../compose.ts";
import type { Config } from "../config/schema.ts";
import { programs } from "../programs.ts";
import { installCommand, type Tool } from "./packages.ts";
import { checkNetwork } from "./network.ts";
import { checkProduction } from "./production.ts";

/** Looks at the machine as the daemon will use it. Nothing is changed, but for the answer of the KVM probe that is kept. */
export async function examine(config: Config, locations: Locations): Promise<Check[]> {
  const paths = pathsOf(locations);
  const kernels = new KernelDirectory(paths.kernels, programs.guestAgent);
  const hostBootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const vmms = new DriverChooser(vmmDrivers(config, paths, kernels, hostBootId), "auto");
  return [
    ...(await checkVmms(vmms)),
    ...(await checkConfinement(vmms)),
    await checkKernel(kernels),
    await checkPrograms(),
    await checkStorage(locations),
    await checkSpace(locations.dataDirectory),
    ...(await checkTools()),
    await checkRuntime(locations.runtimeDirectory),
    checkMemory(config),
    ...(await checkGuestNetwork(config, locations)),
    ...(await checkProduction()),
  ];
}

/** Looked at as the daemon would, with nothing made. */
async function checkGuestNetwork(config: Config, locations: Locations): Promise<Check[]> {
  const { ipv4Subnet: ipv4, ipv6Subnet: ipv6 } = config.network;
  const silent = { info: () => {}, warn: () => {}, error: () => {} };
  const status = await workplaceNetwork(config, locations, { ipv4, ipv6 }, silent).status({ refresh: true });
  return checkNetwork(status, linkOf(tagOf(locations.stateDirectory)));
}

const ok = (name: string, detail: string): Check => ({ name, state: "ok", detail, fix: null });

/** One VMM that works is enough; Firecracker is the better one where KVM is. */
async function checkVmms(vmms: DriverChooser): Promise<Check[]> {
  const [firecracker, qemu] = await Promise.all(vmmKinds.map((kind) => vmms.driver(kind).status({ refresh: true })));
  if (firecracker === undefined || qemu === undefined) return [];
  const found = (status: VmmStatus): string => `${status.version} (${status.binary})`;
  const checks: Check[] = [
    firecracker.usable
      ? ok("Firecracker", found(firecracker))
      : { name: "Firecracker", state: "warning", detail: firecracker.reason, fix: null },
  ];
  if (qemu.usable) checks.push(ok("QEMU", found(qemu)));
  else {
    const state = firecracker.usable ? "warning" : "failed";
    checks.push({ name: "QEMU", state, detail: qemu.reason, fix: installCommand(["qemu"]) });
  }
  if (firecracker.usable || qemu.accelerator === "kvm") checks.push(ok("KVM", "usable: it booted a kernel"));
  else if (qemu.usable) {
    const why = qemu.reason.replace(/^.*?: /, "");
    checks.push({
      name: "KVM",
      state: "warning",
      detail: `not usable, so VMs run under software emulation: ${why}`,
      fix: kvmFix(why),
    });
  }
  return checks;
}

/** What holds a VMM with a guest in it. */
async function checkConfinement(vmms: DriverChooser): Promise<Check[]> {
  const confinement = (await vmms.status("auto")).confinement;
  if (confinement === null) return [];
  const { group, files, reason } = confinement;
  const missing = [
    ...(group === "none" ? ["what they use of memory and processors is not limited"] : []),
    ...(files === "none" ? ["they can open every file that the daemon can"] : []),
  ];
  const name = "confinement";
  const checks: Check[] =
    missing.length === 0
      ? [ok(name, `VMs are limited by ${groupWords[group]} and kept from files by ${files}`)]
      : [{ name, state: "warning", detail: `${missing.join(", and ")}: ${reason}`, fix: null }];
  if (group === "systemd" && process.getuid?.() !== 0 && !(await lingers()))
    checks.push({
      name: "lingering",
      state: "warning",
      detail: "systemd ends this user's services, and so the VMs, when the last session ends",
      fix: "loginctl enable-linger",
    });
  return checks;
}

const groupWords = { systemd: "services of systemd", cgroup: "control groups", none: "nothing" };

/** Where systemd-logind keeps who lingers. */
async function lingers(): Promise<boolean> {
  return await fs.access(`/var/lib/systemd/linger/${userInfo().username}`).then(
    () => true,
    () => false,
  );
}

function kvmFix(reason: string): string | null {
  if (reason.includes("group kvm")) return "sudo usermod -aG kvm $USER   (then log in again)";
  if (reason.includes("no guest kernel")) return "npm run up";
  if (reason.includes("no /dev/kvm"))
    return "sudo modprobe kvm_intel || sudo modprobe kvm_amd   (and switch virtualization on in the firmware)";
  return null;
}

async function checkKernel(kernels: KernelDirectory): Promise<Check> {
  try {
    return ok("guest kernel", (await kernels.current()).version);
  } catch (error) {
    return failed("guest kernel", error, "npm run up");
  }
}

async function checkPrograms(): Promise<Check> {
  for (const path of Object.values(programs)) {
    try {
      await fs.access(path, constants.X_OK);
    } catch {
      return { name: "programs", state: "failed", detail: `${path} is missing`, fix: "npm run build" };
    }
  }
  return ok("programs", "keeper, guest agent and network helper are there");
}

async function checkStorage(locations: Locations): Promise<Check> {
  try {
    await checkStore(pathsOf(locations), locations.dataDirectory);
    return ok("storage", `${locations.dataDirectory} is on btrfs and the one the records belong to`);
  } catch (error) {
    return failed("storage", error, "sudo nexusctl storage init");
  }
}

async function checkSpace(directory: string): Promise<Check> {
  const found = await fs.statfs(directory).catch(() => null);
  if (found === null)
    return { name: "disk space", state: "warning", detail: `${directory} is not there yet`, fix: null };
  const freeGiB = (found.bavail * found.bsize) / 1024 ** 3;
  const detail = `${freeGiB.toFixed(1)} GiB free in ${directory}`;
  return freeGiB >= 2
    ? ok("disk space", detail)
    : { name: "disk space", state: "warning", detail, fix: "delete workspaces and images that are not needed" };
}

const tools: readonly { tool: Tool; program: string; purpose: string }[] = [
  { tool: "btrfs", program: "mkfs.btrfs", purpose: "makes the store" },
  { tool: "e2fsprogs", program: "mke2fs", purpose: "makes disks from directories" },
  { tool: "fakeroot", program: "fakeroot", purpose: "keeps owners right without root" },
  { tool: "mmdebstrap", program: "mmdebstrap", purpose: "makes the base image" },
];

async function checkTools(): Promise<Check[]> {
  return await Promise.all(
    tools.map(async ({ tool, program, purpose }) => {
      const path = (await findProgram(program, null)) ?? (await findProgram(program, `/usr/sbin/${program}`));
      return path === null
        ? {
            name: program,
            state: "failed" as const,
            detail: `not installed (it ${purpose})`,
            fix: installCommand([tool]),
          }
        : ok(program, path);
    }),
  );
}

async function checkRuntime(directory: string): Promise<Check> {
  try {
    await fs.mkdir(directory, { recursive: true, mode: 0o700 });
    await fs.access(directory, constants.W_OK);
    return ok("sockets", directory);
  } catch (error) {
    return failed("sockets", error, "export XDG_RUNTIME_DIR=/run/user/$(id -u)");
  }
}

function checkMemory(config: Config): Check {
  const totalMiB = Math.floor(totalmem() / 1024 ** 2);
  const limitMiB = config.memory.limitMiB ?? defaultLimitMiB(totalMiB);
  return ok("memory", `${limitMiB} of ${totalMiB} MiB may go to VMs`);
}

function failed(name: string, error: unknown, otherwise: string): Check {
  const hint = error instanceof WorkfortError ? error.hint : undefined;
  return {
    name,
    state: "failed",
    detail: error instanceof Error ? error.message : String(error),
    fix: hint ?? otherwise,
  };
}
