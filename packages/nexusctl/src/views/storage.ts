import type { StorageStatus } from "@workfort/contract";
import { formatBytes, plural } from "../format/units.ts";

/** `17.2 GiB of 20 GiB free, 1 image, 5 workspaces` */
export function storageLine({ freeBytes, totalBytes, imageCount, workspaceCount }: StorageStatus): string {
  const free = `${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} free`;
  return [free, plural(imageCount, "image"), plural(workspaceCount, "workspace")].join(", ");
}
