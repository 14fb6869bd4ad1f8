import type {
  Accelerator,
  BootPhase,
  RateLimit,
  RestartPolicy,
  RunningVmm,
  VmmChoice,
  VmmKind,
  VmState,
  Token,
} from "@workfort/contract";

/** what the store keeps; times are Unix ms */

export interface VmRecord {
  id: string;
  name: string;
  state: VmState;
  stateReason: string;
  cid: number;
  vcpuCount: number;
  memoryMiB: number;
  vmm: VmmChoice;
  restart: RestartPolicy;
  startOnBoot: boolean;
  /** whether it has a network interface at all */
  hasNetwork: boolean;
  workspaceId: string;
  createdAt: number;
  startedAt: number | null;
  endedAt: number | null;
}

/** what is needed to find a VMM again after a restart of the daemon */
export interface RunFacts {
  /** `/proc/sys/kernel/random/boot_id` of the host */
  hostBootId: string;
  /** directory of its sockets */
  directory: string;
  keeperPid: number;
  vmmPid: number;
  /** field 22 of `/proc/<pid>/stat`, clock ticks since boot */
  vmmStartTime: number;
  vmm: RunningVmm;
  /** memory the VM counts for in admission, VMM overhead included, in MiB */
  committedMiB: number;
}

export interface BootRecord {
  vmId: string;
  /** 1 for the VM's first boot */
  number: number;
  startedAt: number;
  readyAt: number | null;
  endedAt: number | null;
  vmm: VmmKind | null;
  accelerator: Accelerator | null;
  kernel: string | null;
  phases: BootPhase[];
  guestBootMs: number | null;
  endReason: string | null;
  exitCode: number | null;
  signal: string | null;
  run: RunFacts | null;
  /** whether it was given an interface; written before its VMM exists */
  attached: boolean;
  /** why it was started without the interface that it should have */
  networkTrouble: string | null;
}

/** a guest's place in the subnets: a VM's, or once a VM's */
export interface AddressRecord {
  /** from 2 */
  number: number;
  vmId: string | null;
  /** null while a VM has it */
  releasedAt: number | null;
}

export interface StateChangeRecord {
  vmId: string;
  from: VmState | null;
  to: VmState;
  reason: string;
  at: number;
}

export interface ImageRecord {
  id: string;
  name: string;
  sizeBytes: number;
  usedBytes: number;
  source: string;
  createdAt: number;
}

export interface WorkspaceRecord {
  id: string;
  name: string;
  imageId: string | null;
  createdAt: number;
}

/** a scoped token; its secret is known only by its digest */
export interface TokenRecord extends Token {
  /** SHA-256 of the secret, in hexadecimal */
  digest: string;
}

export interface DriveRecord {
  id: string;
  name: string;
  sizeBytes: number;
  /** directory or name of the drive it was made from */
  source: string | null;
  createdAt: number;
}

export interface AttachmentRecord {
  driveId: string;
  vmId: string;
  /** a VM's drives are in the order of these numbers */
  number: number;
  /** null for a bare device */
  mountPath: string | null;
  readOnly: boolean;
  rateLimit: RateLimit | null;
}

/** a place on the host whose connections go into a VM */
export interface ForwardRecord {
  id: string;
  vmId: string;
  /** null for a Unix socket, as is its port */
  hostAddress: string | null;
  hostPort: number | null;
  hostSocket: string | null;
  /** one of the two */
  guestPort: number | null;
  guestSocket: string | null;
  createdAt: number;
}

/** a change that has begun; its row goes when the change is complete or undone */
export interface IntentRecord {
  id: number;
  kind: string;
  data: unknown;
  createdAt: number;
}
