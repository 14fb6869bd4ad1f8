import type { Duplex, Readable } from "node:stream";
import type {
  Denial,
  DiskMetrics,
  HostService,
  NetworkLeftover,
  NetworkPolicy,
  NetworkStatus,
  Progress,
  RateLimit,
  StorageStatus,
  VmNetworkCounters,
  VmmChoice,
  VmmKind,
  VmmStatus,
} from "@workfort/contract";
import type { Subnets } from "./network/addresses.ts";
import type {
  AddressRecord,
  AttachmentRecord,
  BootRecord,
  DriveRecord,
  ForwardRecord,
  ImageRecord,
  IntentRecord,
  RunFacts,
  StateChangeRecord,
  TokenRecord,
  VmRecord,
  WorkspaceRecord,
} from "./records.ts";

/** What the rules need from a machine. Each port has one folder in `packages/host`. */

/** Records. Calls are synchronous, so that a rule's check and its write cannot be torn apart by another caller. */
export interface Store {
  /** Runs `change` in one transaction; `durable` waits until it is on the medium. Nested calls join the outer one. */
  transaction<T>(change: () => T, options?: { durable?: boolean }): T;
  /** Calls `tell` when the open transaction is committed, at once where none is open, never where it is rolled back. */
  afterCommit(tell: () => void): void;

  insertVm(vm: VmRecord): void;
  updateVm(id: string, change: Partial<Omit<VmRecord, "id">>): void;
  deleteVm(id: string): void;
  findVm(idOrName: string): VmRecord | null;
  listVms(): VmRecord[];
  vmOfWorkspace(workspaceId: string): VmRecord | null;
  highestCid(): number;

  insertStateChange(change: StateChangeRecord): void;
  stateChanges(vmId: string, limit: number): StateChangeRecord[];

  insertBoot(boot: BootRecord): void;
  updateBoot(vmId: string, number: number, change: Partial<Omit<BootRecord, "vmId" | "number">>): void;
  /** newest first */
  boots(vmId: string, limit: number): BootRecord[];

  insertImage(image: ImageRecord): void;
  deleteImage(id: string): void;
  findImage(idOrName: string): ImageRecord | null;
  listImages(): ImageRecord[];
  countWorkspacesOf(imageId: string): number;

  insertWorkspace(workspace: WorkspaceRecord): void;
  deleteWorkspace(id: string): void;
  findWorkspace(idOrName: string): WorkspaceRecord | null;
  listWorkspaces(): WorkspaceRecord[];

  insertToken(token: TokenRecord): void;
  updateToken(id: string, change: Partial<Omit<TokenRecord, "id">>): void;
  deleteToken(id: string): void;
  findToken(idOrName: string): TokenRecord | null;
  tokenOfDigest(digest: string): TokenRecord | null;
  listTokens(): TokenRecord[];

  insertDrive(drive: DriveRecord): void;
  updateDrive(id: string, change: Partial<Omit<DriveRecord, "id">>): void;
  deleteDrive(id: string): void;
  findDrive(idOrName: string): DriveRecord | null;
  listDrives(): DriveRecord[];

  /** An attachment goes with its VM. */
  insertAttachment(attachment: AttachmentRecord): void;
  deleteAttachment(driveId: string): void;
  attachmentOf(driveId: string): AttachmentRecord | null;
  /** in the order of their numbers */
  attachmentsOf(vmId: string): AttachmentRecord[];

  /** Gives a number to a VM that has none. */
  takeAddress(number: number, vmId: string): void;
  /** Takes its number from a VM. */
  releaseAddress(vmId: string, releasedAt: number): void;
  addressOf(vmId: string): AddressRecord | null;
  /** the highest number ever given; null before the first */
  highestAddress(): number | null;
  /** of those that no VM has, up to `last`, the one released longest ago */
  longestFreeAddress(last: number): AddressRecord | null;

  /** of a VM, or of all without their own where `vmId` is null; null where there is none */
  networkPolicy(vmId: string | null): NetworkPolicy | null;
  /** A VM's policy goes with it. */
  setNetworkPolicy(vmId: string | null, policy: NetworkPolicy): void;
  deleteNetworkPolicy(vmId: string): void;
  /** ids of the VMs that have one of their own */
  vmsWithPolicy(): string[];
  /** the subnets that the numbers were last put into; null before the first */
  subnets(): Subnets | null;
  setSubnets(subnets: Subnets): void;

  insertHostService(service: HostService): void;
  deleteHostService(name: string): void;
  listHostServices(): HostService[];

  /** A forward goes with its VM. */
  insertForward(forward: ForwardRecord): void;
  deleteForward(id: string): void;
  /** of one VM, or of all where `vmId` is null; oldest first */
  listForwards(vmId: string | null): ForwardRecord[];

  /** `/proc/sys/kernel/random/boot_id` that the last daemon saw; null before the first. */
  hostBoot(): string | null;
  setHostBoot(bootId: string): void;

  /** Returns the row's id. */
  insertIntent(kind: string, data: unknown): number;
  deleteIntent(id: number): void;
  intents(): IntentRecord[];
}

export type DiskKind = "images" | "workspaces" | "drives";

/** Disks with copy-on-write. All deletions are idempotent. */
export interface StorageDriver {
  /** Makes a read-only master image; `fill` writes `rootfs.ext4` into the directory it is given. */
  createImage(id: string, fill: (directory: string) => Promise<void>): Promise<void>;
  /** Makes the writable workspace as a snapshot of the image. */
  snapshot(imageId: string, workspaceId: string): Promise<void>;
  /** Makes a writable drive; `fill` writes the ext4 file at the path it is given. */
  createDrive(id: string, fill: (path: string) => Promise<void>): Promise<void>;
  /** Makes a drive as a writable snapshot of another. */
  snapshotDrive(sourceId: string, id: string): Promise<void>;
  /** Puts what `change` makes of a copy in the place of the drive's file, as a whole or not at all. */
  replaceDrive(id: string, change: (path: string) => Promise<void>): Promise<void>;
  /** Removes the copy that a change which died has left. */
  dropReplacement(id: string): Promise<void>;
  delete(kind: DiskKind, id: string): Promise<void>;
  /** Whether the disk is there, complete. */
  exists(kind: DiskKind, id: string): Promise<boolean>;
  /** path of the ext4 file */
  diskPath(kind: DiskKind, id: string): string;
  /** size of the ext4 file, bytes */
  size(kind: DiskKind, id: string): Promise<number>;
  /** Reads the extent map; bytes on disk. */
  usage(kind: DiskKind, id: string): Promise<{ sizeBytes: number; sharedBytes: number; exclusiveBytes: number }>;
  space(): Promise<Pick<StorageStatus, "directory" | "driver" | "totalBytes" | "freeBytes" | "loopFile">>;
  /** ids of what is on disk */
  list(kind: DiskKind): Promise<string[]>;
}

/** Makes disks, from what the user has or empty, and changes them while no VM has them. */
export interface DiskBuilder {
  /** `source` is a directory or an ext4 file; refuses with `invalid_image` what cannot become a disk. */
  build(
    source: string,
    target: string,
    options: {
      sizeBytes?: number | undefined;
      signal?: AbortSignal | undefined;
      onProgress?: ((progress: Progress) => void) | undefined;
    },
  ): Promise<{ sizeBytes: number; usedBytes: number }>;
  /** Makes a data drive: empty, or of a directory with its owners; `sizeBytes` is needed for an empty one. */
  buildDrive(
    directory: string | null,
    target: string,
    options: {
      sizeBytes?: number | undefined;
      signal?: AbortSignal | undefined;
      onProgress?: ((progress: Progress) => void) | undefined;
    },
  ): Promise<{ sizeBytes: number }>;
  /** Makes a disk and its file system larger; refuses with `invalid_image` what is no sound ext4. */
  grow(path: string, sizeBytes: number, signal?: AbortSignal): Promise<void>;
  /** Replays the journal of an ext4 that was not cleanly unmounted; leaves anything else as it is. */
  replayJournal(path: string): Promise<void>;
}

export interface Kernel {
  version: string;
  /** uncompressed ELF kernel */
  vmlinux: string;
  /** cpio with the guest agent as `/init` */
  initramfs: string;
}

export interface Kernels {
  /** The kernel that boots get; fails with `kernel_missing`. */
  current(): Promise<Kernel>;
}

/** a disk of a VM */
export interface AttachedDisk {
  /** of the workspace or drive */
  id: string;
  path: string;
  readOnly: boolean;
  rateLimit: RateLimit | null;
}

/** what the guest's agent mounts when it boots */
export interface Mount {
  /** for example `vdb` */
  device: string;
  path: string;
  readOnly: boolean;
}

/** what a VMM needs to boot a VM */
export interface VmSpec {
  id: string;
  name: string;
  cid: number;
  vcpuCount: number;
  memoryMiB: number;
  kernel: Kernel;
  /** the first is the root drive, `vda` in the guest; `vdb` and so on follow in order */
  drives: readonly AttachedDisk[];
  /** parents before what lies in them */
  mounts: readonly Mount[];
  /** null without an interface */
  network: AttachedNetwork | null;
  /** directory for this run's sockets; made by `start`, removed by `release` */
  directory: string;
}

/** a guest's interface, as its records and policy have it */
export interface GuestNetwork {
  vmId: string;
  vmName: string;
  /** its place in the subnets, from 2 */
  number: number;
  policy: NetworkPolicy;
}

/** the host's end of a guest's interface */
export interface AttachedNetwork {
  tap: string;
  macAddress: string;
  /** words of the kernel's command line, from which the agent sets its end up (codex/reference/guest-protocol.md) */
  bootArguments: readonly string[];
  /** namespaces in which its VMM has to run; `user` null where that is the daemon's own */
  namespaces: { network: string; user: string | null };
}

/** where a forward listens */
export type ForwardPlace = { address: string; port: number } | { socket: string };

export interface ForwardListener {
  /** null for a Unix socket */
  readonly port: number | null;
  readonly openConnections: number;
  /** Ends its connections, too. */
  close(): Promise<void>;
}

export interface ForwardListeners {
  /** Each connection is joined to what `open` gives. Fails with `in_use`, `permission_denied` or `invalid_request`. */
  listen(where: ForwardPlace, open: (signal: AbortSignal) => Promise<Duplex>): Promise<ForwardListener>;
}

/** The daemon's half of host services: sockets to which the gateway brings what guests begin. */
export interface HostServiceRelay {
  /** Serves these, and no others. */
  set(services: readonly HostService[]): Promise<void>;
  close(): Promise<void>;
}

/** The network of guests: a namespace of the workplace with a bridge, a tap for each VM, and the gateway. */
export interface Network {
  /** as configured */
  readonly mode: NetworkStatus["mode"];
  status(options?: { refresh?: boolean }): Promise<NetworkStatus>;
  /** Makes a guest's tap and rules, and before the first one everything else; may be called again. Fails with `network_unavailable`. */
  attach(guest: GuestNetwork): Promise<AttachedNetwork>;
  /** Takes tap and rules away; one that has none is fine. */
  detach(vmId: string): Promise<void>;
  /** In force for the attached guest when it resolves. */
  setPolicy(vmId: string, policy: NetworkPolicy): Promise<void>;
  setServices(services: readonly HostService[]): Promise<void>;
  counters(vmId: string): Promise<VmNetworkCounters | null>;
  /** Denials behind a number, of all guests or of one; goes on with what comes until the signal fires where `follow` is set. */
  denials(query: { after: number; vmId: string | null; follow: boolean }, signal: AbortSignal): AsyncIterable<Denial>;
  /** After a restart of the daemon: finds what runs, tells it these guests anew, removes what is not theirs. */
  recover(guests: readonly GuestNetwork[]): Promise<void>;
  /** Compares what is there with these guests; removes the rest. */
  reconcile(guests: readonly GuestNetwork[]): Promise<NetworkLeftover[]>;
  /** Removes everything. */
  reset(): Promise<NetworkLeftover[]>;
  /** Lets go without touching anything; the next daemon finds it again. */
  close(): void;
}

export interface VmmEnd {
  exitCode: number | null;
  /** for example `SIGKILL` */
  signal: string | null;
  /** the last line of the VMM's own error output that says something; may be empty */
  lastWords: string;
  /** what the exit code or signal means, where more is known than its number or name */
  meaning: string | null;
  /** Unix ms */
  endedAt: number;
}

export interface VmmMetrics {
  processorSeconds: number;
  residentBytes: number;
  disks: DiskMetrics[] | null;
}

/** a VMM that runs, or whose end has not been collected */
export interface VmmRun {
  readonly facts: RunFacts;
  /** Resolves when the VMM has ended; rejects when that can no longer be known. */
  waitForEnd(signal?: AbortSignal): Promise<VmmEnd>;
  /** Opens the byte stream to the guest agent, synchronised, waiting for the guest if need be. */
  openChannel(signal: AbortSignal): Promise<Duplex>;
  signal(name: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** The guest sees these keys; whether it heeds them shows in its end. */
  pressCtrlAltDel(signal: AbortSignal): Promise<void>;
  /** The guest stands still until it is resumed; either may be asked again. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** what the VMM itself says */
  isPaused(): Promise<boolean>;
  /** What the VMM's own boot timer has measured, ms; null where it has none. */
  guestBootMs(): Promise<number | null>;
  /** What it uses of the host, and what its disks have done, in their order; these null where it does not answer. */
  metrics(signal: AbortSignal): Promise<VmmMetrics>;
  console(tailBytes: number | null): Promise<Buffer>;
  /** The console from there on, until the VMM ends. */
  followConsole(tailBytes: number | null, signal: AbortSignal): AsyncIterable<Buffer>;
  /** Forgets the run once it has ended: keeper, sockets, directory. */
  release(): Promise<void>;
}

export type VmmStep = "spawn" | "vmm_api" | "configure";

export interface VmmDriver {
  readonly kind: VmmKind;
  /** Whether and how it works here; looked up once, `refresh` looks again. */
  status(options?: { refresh?: boolean }): Promise<VmmStatus>;
  /** memory the VMM itself needs beside the guest's, in MiB */
  overheadMiB(spec: { memoryMiB: number; vcpuCount: number }): Promise<number>;
  /** Boots a VM; `onStep` is called as each step begins. On failure nothing is left behind. */
  start(spec: VmSpec, hooks: { onStep(step: VmmStep): void; signal: AbortSignal }): Promise<VmmRun>;
  /**
   * Finds the VMM of a run again, whether it lives or has ended, by the run's directory. Null when nothing of it
   * lives; what it left is then removed.
   */
  adopt(directory: string, facts: RunFacts | null): Promise<VmmRun | null>;
}

export interface GuestAgent {
  version: string;
  bootId: string;
  /** ms from the kernel's start to the agent's first instruction */
  userspaceStartMs: number;
  clockUnixMs: number;
  /** ms since the kernel's start */
  uptimeMs: number;
  /** data drives that it could not mount at boot */
  failedMounts: readonly { device: string; path: string; why: string }[];
  /** what of its network it could not set up at boot, in plain words; null where all is well or none was wanted */
  networkTrouble: string | null;
}

export interface GuestResponse {
  status: number;
  /** by lower-case name; of the guest's making */
  headers: Readonly<Record<string, string | undefined>>;
  body: Readable;
}

export interface GuestRequest {
  method: "GET" | "POST" | "PUT" | "DELETE";
  path: string;
  /** JSON */
  body?: unknown;
  /** raw bytes instead of JSON */
  bytes?: Readable;
  signal?: AbortSignal;
  /** ms for the answer's head; null waits as long as it takes */
  timeoutMs?: number | null;
}

export type LinkState = "connecting" | "ready" | "unreachable";

/** The line to one guest's agent, kept up over losses of the transport. */
export interface GuestLink {
  readonly state: LinkState;
  /** why the last attempt to open the line failed or a line was lost; null while there is one */
  readonly trouble: string | null;
  /** Resolves with what the agent said first; rejects when the link is closed or the signal fires. */
  ready(signal?: AbortSignal): Promise<GuestAgent>;
  request(request: GuestRequest): Promise<GuestResponse>;
  /** A guest that stands still is not pinged: its silence says nothing. */
  expectSilence(silent: boolean): void;
  close(): void;
}

export interface GuestConnector {
  /** `onState` is told what the agent has said whenever the line is ready. */
  connect(
    open: (signal: AbortSignal) => Promise<Duplex>,
    onState: (state: LinkState, agent: GuestAgent | null) => void,
  ): GuestLink;
}

/** Keeps the console of a VM's last run after its VMM has gone. */
export interface ConsoleArchive {
  save(vmId: string, bytes: Buffer): Promise<void>;
  /** Empty where nothing is kept. */
  read(vmId: string): Promise<Buffer>;
  delete(vmId: string): Promise<void>;
}

export interface Host {
  /** physical memory in MiB */
  readonly totalMemoryMiB: number;
  /** `/proc/sys/kernel/random/boot_id` */
  readonly bootId: string;
}

export interface Logger {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
}

/** Picks a driver for a VM's choice; fails with `vmm_unavailable`. */
export interface VmmChooser {
  choose(choice: VmmChoice): Promise<{ driver: VmmDriver; status: VmmStatus }>;
  driver(kind: VmmKind): VmmDriver;
}
