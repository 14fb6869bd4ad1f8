import type { Drive, DriveDetail } from "@workfort/contract";
import { printable, type Paint } from "../format/colour.ts";
import { renderPairs, renderTable, type Column } from "../format/table.ts";
import { formatAge, formatBytes, formatTime } from "../format/units.ts";

export async function driveTable(drives: readonly Drive[], now: number, paint: Paint): Promise<string> {
  const columns: Column<Drive>[] = [
    { title: "NAME", cell: ({ name }) => name },
    { title: "SIZE", align: "right", cell: ({ sizeBytes }) => formatBytes(sizeBytes) },
    { title: "VM", cell: ({ attachment }) => attachment?.vmName ?? "-" },
    { title: "MOUNT", cell: ({ attachment }) => printable(attachment?.mountPath ?? "-") },
    { title: "ACCESS", cell: ({ attachment }) => (attachment === null ? "-" : access(attachment)) },
    { title: "AGE", align: "right", cell: ({ createdAt }) => formatAge(createdAt, now) },
    { title: "ID", cell: ({ id }) => ({ text: id, style: "dim" }) },
  ];
  return await renderTable(columns, drives, paint);
}

export function driveDetail(drive: DriveDetail, now: number, paint: Paint): string {
  const { attachment } = drive;
  return renderPairs(
    [
      ["Name", paint("bold", drive.name)],
      ["Id", drive.id],
      ["VM", attachment === null ? "-" : attachment.vmName],
      ["Mount", attachment === null ? null : printable(attachment.mountPath ?? "none: a bare device")],
      ["Access", attachment === null ? null : access(attachment)],
      ["Limits", attachment === null ? null : limits(attachment)],
      ["Source", printable(drive.source ?? "-")],
      ["Size", formatBytes(drive.sizeBytes)],
      ["Shared", formatBytes(drive.sharedBytes)],
      ["Exclusive", formatBytes(drive.exclusiveBytes)],
      ["Created", `${formatTime(drive.createdAt)}  (${formatAge(drive.createdAt, now)} ago)`],
    ],
    paint,
  );
}

type Attachment = NonNullable<Drive["attachment"]>;

/** `dev, on /work, read-only, at most 50 MiB/s` */
export function attachmentText(attachment: Attachment | null): string {
  if (attachment === null) return "no VM";
  const { vmName, mountPath, readOnly } = attachment;
  return [
    vmName,
    mountPath === null ? "as a bare device" : `on ${printable(mountPath)}`,
    ...(readOnly ? ["read-only"] : []),
    ...(attachment.rateLimit === null ? [] : [`at most ${limits(attachment)}`]),
  ].join(", ");
}

function access({ readOnly }: Attachment): string {
  return readOnly ? "read-only" : "read-write";
}

function limits({ rateLimit }: Attachment): string {
  const { bytesPerSecond = null, operationsPerSecond = null } = rateLimit ?? {};
  const parts = [
    ...(bytesPerSecond === null ? [] : [`${formatBytes(bytesPerSecond)}/s`]),
    ...(operationsPerSecond === null ? [] : [`${operationsPerSecond} operations/s`]),
  ];
  return parts.length === 0 ? "none" : parts.join(", ");
}
