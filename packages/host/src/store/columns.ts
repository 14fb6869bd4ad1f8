import type { HostService } from "@workfort/contract";
import type {
  AddressRecord,
  AttachmentRecord,
  BootRecord,
  DriveRecord,
  ForwardRecord,
  ImageRecord,
  StateChangeRecord,
  TokenRecord,
  VmRecord,
  WorkspaceRecord,
} from "@workfort/core";

/** which column holds a field, and whether as JSON or as 0 and 1 */
export type Columns<T> = { readonly [Field in keyof T]-?: { name: string; as?: "json" | "flag" } };

export const vmColumns: Columns<VmRecord> = {
  id: { name: "id" },
  name: { name: "name" },
  state: { name: "state" },
  stateReason: { name: "state_reason" },
  cid: { name: "cid" },
  vcpuCount: { name: "vcpu_count" },
  memoryMiB: { name: "memory_mib" },
  vmm: { name: "vmm" },
  restart: { name: "restart" },
  startOnBoot: { name: "start_on_boot", as: "flag" },
  hasNetwork: { name: "has_network", as: "flag" },
  workspaceId: { name: "workspace_id" },
  createdAt: { name: "created_at" },
  startedAt: { name: "started_at" },
  endedAt: { name: "ended_at" },
};

export const stateChangeColumns: Columns<StateChangeRecord> = {
  vmId: { name: "vm_id" },
  from: { name: "from_state" },
  to: { name: "to_state" },
  reason: { name: "reason" },
  at: { name: "at" },
};

export const bootColumns: Columns<BootRecord> = {
  vmId: { name: "vm_id" },
  number: { name: "number" },
  startedAt: { name: "started_at" },
  readyAt: { name: "ready_at" },
  endedAt: { name: "ended_at" },
  vmm: { name: "vmm" },
  accelerator: { name: "accelerator" },
  kernel: { name: "kernel" },
  phases: { name: "phases", as: "json" },
  guestBootMs: { name: "guest_boot_ms" },
  endReason: { name: "end_reason" },
  exitCode: { name: "exit_code" },
  signal: { name: "signal" },
  run: { name: "run", as: "json" },
  attached: { name: "attached", as: "flag" },
  networkTrouble: { name: "network_trouble" },
};

export const imageColumns: Columns<ImageRecord> = {
  id: { name: "id" },
  name: { name: "name" },
  sizeBytes: { name: "size_bytes" },
  usedBytes: { name: "used_bytes" },
  source: { name: "source" },
  createdAt: { name: "created_at" },
};

export const workspaceColumns: Columns<WorkspaceRecord> = {
  id: { name: "id" },
  name: { name: "name" },
  imageId: { name: "image_id" },
  createdAt: { name: "created_at" },
};

export const tokenColumns: Columns<TokenRecord> = {
  id: { name: "id" },
  name: { name: "name" },
  digest: { name: "digest" },
  vms: { name: "vms", as: "json" },
  ownVms: { name: "own_vms", as: "json" },
  tools: { name: "tools", as: "json" },
  maxVms: { name: "max_vms" },
  maxMemoryMiB: { name: "max_memory_mib" },
  maxVcpuCount: { name: "max_vcpu_count" },
  createdAt: { name: "created_at" },
  expiresAt: { name: "expires_at" },
  lastUsedAt: { name: "last_used_at" },
};

export const driveColumns: Columns<DriveRecord> = {
  id: { name: "id" },
  name: { name: "name" },
  sizeBytes: { name: "size_bytes" },
  source: { name: "source" },
  createdAt: { name: "created_at" },
};

export const attachmentColumns: Columns<AttachmentRecord> = {
  driveId: { name: "drive_id" },
  vmId: { name: "vm_id" },
  number: { name: "number" },
  mountPath: { name: "mount_path" },
  readOnly: { name: "read_only", as: "flag" },
  rateLimit: { name: "rate_limit", as: "json" },
};

export const addressColumns: Columns<AddressRecord> = {
  number: { name: "number" },
  vmId: { name: "vm_id" },
  releasedAt: { name: "released_at" },
};

export const hostServiceColumns: Columns<HostService> = {
  name: { name: "name" },
  port: { name: "port" },
  target: { name: "target" },
  createdAt: { name: "created_at" },
};

export const forwardColumns: Columns<ForwardRecord> = {
  id: { name: "id" },
  vmId: { name: "vm_id" },
  hostAddress: { name: "host_address" },
  hostPort: { name: "host_port" },
  hostSocket: { name: "host_socket" },
  guestPort: { name: "guest_port" },
  guestSocket: { name: "guest_socket" },
  createdAt: { name: "created_at" },
};
