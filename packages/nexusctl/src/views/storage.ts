import type { StorageStatus } from "@workfort/contract";
import { formatBytes, plural } from "../format/units.ts";

/** `17.2 GiB of 20 GiB free, 1 image, 5 workspaces, 2 drives` */
export function storageLine({ freeBytes, totalBytes, imageCount, workspaceCount, driveCount }: StorageStatus): string {
  const free = `${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} free`;
  return [free, plural(imageCount, "image"), plural(workspaceCount, "workspace"), plural(driveCount, "drive")].join(
    ", ",
  );
}
