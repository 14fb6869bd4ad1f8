import { closeSync, constants, openSync } from "node:fs";
import type { Drive, DriveUpdate, RateLimiter } from "./bodies.ts";
import { Refusal, systemWords } from "./refusal.ts";

/** The drives of a VM: in the order they were named in, the root drive first. */
export class Drives {
  #drives: Drive[] = [];

  get all(): readonly Drive[] {
    return this.#drives;
  }

  put(drive: Drive): void {
    const root = this.#drives.find((one) => one.is_root_device);
    if (drive.is_root_device && root !== undefined && root.drive_id !== drive.drive_id)
      throw new Refusal("Drive config error: A root block device already exists!");
    const failed = "Drive config error: Unable to create the virtio block device:";
    if ((drive.path_on_host === null) === (drive.socket === null)) throw new Refusal(`${failed} Invalid block config.`);
    if (drive.path_on_host === null)
      throw new Refusal(`${failed} Vhost user backend error: not supported by this double`);
    tryOpen(drive.path_on_host, drive.is_read_only ?? false, (why) => `${failed} Virtio backend error: ${why}`);
    const normal: Drive = {
      ...drive,
      is_read_only: drive.is_read_only ?? false,
      io_engine: drive.io_engine ?? "Sync",
      rate_limiter: normalLimiter(drive.rate_limiter),
    };
    const at = this.#drives.findIndex((one) => one.drive_id === drive.drive_id);
    if (at >= 0) this.#drives[at] = normal;
    else this.#drives.push(normal);
    if (drive.is_root_device) this.#drives = [normal, ...this.#drives.filter((one) => one.drive_id !== drive.drive_id)];
  }

  /** Gives the drive with the change in it, and its place. */
  update({ drive_id, path_on_host, rate_limiter }: DriveUpdate): { drive: Drive; index: number } {
    const refuse = (why: string): Refusal =>
      new Refusal(`Drive config error: Unable to patch the block device: ${why} Please verify the request arguments.`);
    const index = this.#drives.findIndex((one) => one.drive_id === drive_id);
    const drive = this.#drives[index];
    if (drive === undefined) throw refuse("Failed perform action on device: Device not found");
    if (path_on_host === null && rate_limiter === null)
      throw refuse("Block: Running method expected different backend.");
    if (path_on_host !== null) {
      tryOpen(
        path_on_host,
        drive.is_read_only ?? false,
        (why) => refuse(`Block: Virtio backend error: ${why}`).message,
      );
      drive.path_on_host = path_on_host;
    }
    if (rate_limiter !== null)
      drive.rate_limiter = normalLimiter({
        bandwidth: rate_limiter.bandwidth ?? drive.rate_limiter?.bandwidth ?? null,
        ops: rate_limiter.ops ?? drive.rate_limiter?.ops ?? null,
      });
    return { drive, index };
  }
}

/** A bucket without size or refill limits nothing. */
export function normalLimiter(limiter: RateLimiter | null): RateLimiter | null {
  if (limiter === null) return null;
  const { bandwidth, ops } = limiter;
  const limits = (bucket: RateLimiter["ops"]): RateLimiter["ops"] =>
    bucket === null || bucket.size === 0 || bucket.refill_time === 0 ? null : bucket;
  const normal = { bandwidth: limits(bandwidth), ops: limits(ops) };
  return normal.bandwidth === null && normal.ops === null ? null : normal;
}

function tryOpen(path: string, readOnly: boolean, refusal: (why: string) => string): void {
  try {
    closeSync(openSync(path, readOnly ? constants.O_RDONLY : constants.O_RDWR));
  } catch (error) {
    throw new Refusal(refusal(`Error manipulating the backing file: ${systemWords(error)} ${path}`));
  }
}
