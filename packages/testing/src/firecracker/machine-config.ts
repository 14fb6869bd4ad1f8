import type { Balloon, MachineConfig, MachineConfigUpdate } from "./bodies.ts";
import { Refusal } from "./refusal.ts";

const maxVcpuCount = 32;

export const usualMachineConfig: MachineConfig = {
  vcpu_count: 1,
  mem_size_mib: 128,
  smt: false,
  cpu_template: null,
  track_dirty_pages: false,
  huge_pages: "None",
};

/** The configuration with a change in it, all or nothing. */
export function changedMachineConfig(
  old: MachineConfig,
  change: MachineConfigUpdate,
  balloon: Balloon | null,
): MachineConfig {
  const config: MachineConfig = {
    vcpu_count: change.vcpu_count ?? old.vcpu_count,
    mem_size_mib: change.mem_size_mib ?? old.mem_size_mib,
    smt: change.smt ?? old.smt,
    cpu_template: change.cpu_template ?? old.cpu_template,
    track_dirty_pages: change.track_dirty_pages ?? old.track_dirty_pages,
    huge_pages: change.huge_pages ?? old.huge_pages,
  };
  const refuse = (why: string): Refusal => new Refusal(`Machine config error: ${why}`);
  const { vcpu_count: count, mem_size_mib: memoryMiB } = config;
  if (count === 0 || count > maxVcpuCount || (config.smt && count > 1 && count % 2 === 1))
    throw refuse(
      "The number of vCPUs must be greater than 0, less than 32 and must be 1 or an even number if SMT is enabled.",
    );
  if (memoryMiB === 0 || (config.huge_pages === "2M" && memoryMiB % 2 === 1))
    throw refuse("The memory size (MiB) is either 0, or not a multiple of the configured page size.");
  if (balloon !== null && memoryMiB < balloon.amount_mib)
    throw refuse("The memory size (MiB) is smaller than the previously set balloon device target size.");
  return config;
}

/** As it is shown: a CPU template only where there is one. */
export function shownMachineConfig({ cpu_template, ...config }: MachineConfig): Record<string, unknown> {
  const { vcpu_count, mem_size_mib, smt, track_dirty_pages, huge_pages } = config;
  const template = cpu_template === null || cpu_template === "None" ? {} : { cpu_template };
  return { vcpu_count, mem_size_mib, smt, ...template, track_dirty_pages, huge_pages };
}
