import { statSync } from "node:fs";
import type { DriveUpdate } from "./bodies.ts";
import { perSecond } from "./guest-arguments.ts";
import { Refusal } from "./refusal.ts";
import type { Vm } from "./vm.ts";

/** Changes a drive of a running VM: its limits, and the size where its file has grown; another file it cannot have. */
export async function changeDrive(vm: Vm, change: DriveUpdate): Promise<void> {
  const old = vm.drives.all.find((drive) => drive.drive_id === change.drive_id)?.path_on_host;
  const { drive, index } = vm.drives.update(change);
  const device = `drive${index}`;
  const { monitor } = vm.guest;
  if (change.path_on_host !== null) {
    if (change.path_on_host !== old)
      throw new Refusal("Drive config error: another file: not supported by this double");
    await monitor.command("block_resize", { device, size: statSync(change.path_on_host).size });
  }
  if (change.rate_limiter !== null) {
    const { bandwidth = null, ops = null } = drive.rate_limiter ?? {};
    await monitor.command("block_set_io_throttle", {
      device,
      bps: bandwidth === null ? 0 : perSecond(bandwidth),
      bps_rd: 0,
      bps_wr: 0,
      iops: ops === null ? 0 : perSecond(ops),
      iops_rd: 0,
      iops_wr: 0,
    });
  }
}
