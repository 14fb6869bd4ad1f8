import * as z from "zod";
import { AttachDrive, CreateDrive, Drive, DriveDetail, ResizeDrive } from "./drive.ts";
import { ChangeTypes, Event, EventId, eventStreamType } from "./events.ts";
import { exactly, flag, offset } from "./fields.ts";
import { fileOperations } from "./file-operations.ts";
import { forwardOperations } from "./forward-operations.ts";
import { operation, type Operation } from "./operation.ts";
import { GuestStats } from "./guest-stats.ts";
import { CreateWorkspace, Image, ImportImage, StorageStatus, Workspace, WorkspaceDetail } from "./image.ts";
import { VmMetrics } from "./metrics.ts";
import { Reference } from "./names.ts";
import { networkOperations } from "./network-operations.ts";
import { Exec, ExecResult, outputStreamType, Process, ProcessId, SignalProcess, StartProcess } from "./process.ts";
import { Health, Status } from "./system.ts";
import { CreatedToken, CreateToken, Token } from "./token.ts";
import { CreateTerminal, ResizeTerminal, Terminal, TerminalId } from "./terminal.ts";
import { CreateVm, StartVm, StopVm, Vm, VmHistory, VmState } from "./vm.ts";

const vm = exactly({ vm: Reference });
const image = exactly({ image: Reference });
const workspace = exactly({ workspace: Reference });
const drive = exactly({ drive: Reference });
const process = exactly({ vm: Reference, process: ProcessId });
const terminal = exactly({ vm: Reference, terminal: TerminalId });

const guestErrors = [
  "not_found",
  "wrong_state",
  "agent_unreachable",
  "agent_failed",
  "agent_outdated",
  "timeout",
  "too_many",
] as const;

/** Everything the daemon can do. A new feature starts by adding a row. */
export const operations = {
  "system.health": operation({
    method: "GET",
    path: "/v1/health",
    summary: "Whether the daemon serves",
    result: Health,
    public: true,
    errors: [],
  }),
  "system.status": operation({
    method: "GET",
    path: "/v1/status",
    summary: "What the daemon is, uses and holds",
    result: Status,
    errors: [],
  }),
  "system.metrics": operation({
    method: "GET",
    path: "/v1/metrics",
    summary: "Metrics of the daemon and of all VMs, for Prometheus",
    answer: "bytes",
    mediaType: "text/plain; version=0.0.4; charset=utf-8",
    errors: [],
  }),
  "system.openapi": operation({
    method: "GET",
    path: "/v1/openapi.json",
    summary: "This interface as OpenAPI 3.1",
    result: z.record(z.string(), z.unknown()),
    errors: [],
  }),

  "events.watch": operation({
    method: "GET",
    path: "/v1/events",
    summary: "Watch what changes, as server-sent events",
    query: exactly({
      after: EventId.optional().describe("only what came after this event; the header Last-Event-ID says it, too"),
      vm: Reference.optional().describe("only of the VM of this name or id"),
      type: ChangeTypes.optional().describe("only these types, separated by commas"),
    }),
    answer: "bytes",
    mediaType: eventStreamType,
    event: Event,
    errors: [],
  }),

  "vm.create": operation({
    method: "POST",
    path: "/v1/vms",
    summary: "Create a VM",
    body: CreateVm,
    result: Vm,
    status: 201,
    errors: ["not_found", "name_taken", "in_use", "too_many", "storage_full", "storage_unavailable"],
  }),
  "vm.list": operation({
    method: "GET",
    path: "/v1/vms",
    summary: "List VMs",
    query: exactly({ state: VmState.optional() }),
    result: z.object({ vms: z.array(Vm) }),
    errors: [],
  }),
  "vm.get": operation({
    method: "GET",
    path: "/v1/vms/{vm}",
    summary: "Show one VM",
    params: vm,
    result: Vm,
    errors: ["not_found"],
  }),
  "vm.delete": operation({
    method: "DELETE",
    path: "/v1/vms/{vm}",
    summary: "Delete a VM that does not run, with its workspace",
    params: vm,
    query: exactly({ keepWorkspace: flag("leave its workspace in place") }),
    status: 204,
    errors: ["not_found", "wrong_state", "storage_unavailable"],
  }),
  "vm.start": operation({
    method: "POST",
    path: "/v1/vms/{vm}/start",
    summary: "Start a VM",
    params: vm,
    body: StartVm,
    result: Vm,
    answer: "progress",
    errors: [
      "not_found",
      "wrong_state",
      "in_use",
      "insufficient_memory",
      "vmm_unavailable",
      "vmm_failed",
      "kernel_missing",
      "storage_unavailable",
      "timeout",
    ],
  }),
  "vm.stop": operation({
    method: "POST",
    path: "/v1/vms/{vm}/stop",
    summary: "Shut a VM down",
    params: vm,
    body: StopVm,
    result: Vm,
    errors: ["not_found", "wrong_state"],
  }),
  "vm.kill": operation({
    method: "POST",
    path: "/v1/vms/{vm}/kill",
    summary: "End a VM at once",
    params: vm,
    result: Vm,
    errors: ["not_found", "wrong_state"],
  }),
  "vm.pause": operation({
    method: "POST",
    path: "/v1/vms/{vm}/pause",
    summary: "Let a VM stand still",
    params: vm,
    result: Vm,
    errors: ["not_found", "wrong_state", "vmm_failed"],
  }),
  "vm.resume": operation({
    method: "POST",
    path: "/v1/vms/{vm}/resume",
    summary: "Let a paused VM go on",
    params: vm,
    result: Vm,
    errors: ["not_found", "wrong_state", "vmm_failed"],
  }),
  "vm.history": operation({
    method: "GET",
    path: "/v1/vms/{vm}/history",
    summary: "Show a VM's states and boots",
    params: vm,
    result: VmHistory,
    errors: ["not_found"],
  }),
  "vm.metrics": operation({
    method: "GET",
    path: "/v1/vms/{vm}/metrics",
    summary: "Show what a VM uses of the host, and what its disks have done",
    params: vm,
    result: VmMetrics,
    errors: ["not_found", "wrong_state"],
  }),
  "vm.stats": operation({
    method: "GET",
    path: "/v1/vms/{vm}/stats",
    summary: "Show what a VM's guest says it uses: processors, memory, disks, networks, processes",
    params: vm,
    result: GuestStats,
    errors: ["not_found", "wrong_state", "agent_unreachable", "agent_failed", "agent_outdated", "timeout"],
  }),
  "vm.console": operation({
    method: "GET",
    path: "/v1/vms/{vm}/console",
    summary: "Read a VM's console",
    params: vm,
    query: exactly({
      follow: flag("go on as output comes"),
      tailBytes: offset("begin this many bytes before the end; 0 for all that is held"),
    }),
    answer: "bytes",
    mediaType: "application/octet-stream",
    errors: ["not_found"],
  }),
  "vm.exec": operation({
    method: "POST",
    path: "/v1/vms/{vm}/exec",
    summary: "Run a command in a VM and wait for its result",
    params: vm,
    body: Exec,
    result: ExecResult,
    errors: [...guestErrors, "cannot_start", "command_not_found"],
  }),

  ...fileOperations,
  ...forwardOperations,

  "process.start": operation({
    method: "POST",
    path: "/v1/vms/{vm}/processes",
    summary: "Start a process in a VM; with `attach` the answer is its output stream",
    params: vm,
    body: StartProcess,
    result: Process,
    answer: "bytes",
    mediaType: outputStreamType,
    status: 201,
    errors: [...guestErrors, "cannot_start", "command_not_found", "guest_conflict"],
  }),
  "process.list": operation({
    method: "GET",
    path: "/v1/vms/{vm}/processes",
    summary: "List the processes started in a VM",
    params: vm,
    result: z.object({ processes: z.array(Process) }),
    errors: guestErrors,
  }),
  "process.get": operation({
    method: "GET",
    path: "/v1/vms/{vm}/processes/{process}",
    summary: "Show one process",
    params: process,
    result: Process,
    errors: guestErrors,
  }),
  "process.wait": operation({
    method: "GET",
    path: "/v1/vms/{vm}/processes/{process}/wait",
    summary: "Wait for a process to end",
    params: process,
    result: Process,
    errors: guestErrors,
  }),
  "process.output": operation({
    method: "GET",
    path: "/v1/vms/{vm}/processes/{process}/output",
    summary: "Read a process's output from given offsets",
    params: process,
    query: exactly({
      stdout: offset("first byte wanted of stdout"),
      stderr: offset("first byte wanted of stderr"),
      follow: flag("go on until the process has ended"),
    }),
    answer: "bytes",
    mediaType: outputStreamType,
    errors: guestErrors,
  }),
  "process.stdin": operation({
    method: "POST",
    path: "/v1/vms/{vm}/processes/{process}/stdin",
    summary: "Write to a process's stdin",
    params: process,
    query: exactly({
      offset: offset("bytes accepted before this request"),
      close: flag("close stdin after the last byte"),
    }),
    bytesIn: true,
    result: z.object({ accepted: z.int() }),
    errors: [...guestErrors, "guest_conflict"],
  }),
  "process.signal": operation({
    method: "POST",
    path: "/v1/vms/{vm}/processes/{process}/signal",
    summary: "Signal a process group",
    params: process,
    body: SignalProcess,
    result: z.object({}),
    errors: [...guestErrors, "guest_conflict"],
  }),
  "process.delete": operation({
    method: "DELETE",
    path: "/v1/vms/{vm}/processes/{process}",
    summary: "Forget a process that has ended",
    params: process,
    status: 204,
    errors: [...guestErrors, "guest_conflict"],
  }),

  "vm.terminal.create": operation({
    method: "POST",
    path: "/v1/vms/{vm}/terminals",
    summary: "Open a terminal in a VM",
    params: vm,
    body: CreateTerminal,
    result: Terminal,
    status: 201,
    errors: [...guestErrors, "cannot_start", "guest_conflict"],
  }),
  "vm.terminal.list": operation({
    method: "GET",
    path: "/v1/vms/{vm}/terminals",
    summary: "List a VM's terminals",
    params: vm,
    result: z.object({ terminals: z.array(Terminal) }),
    errors: guestErrors,
  }),
  "vm.terminal.get": operation({
    method: "GET",
    path: "/v1/vms/{vm}/terminals/{terminal}",
    summary: "Show one terminal; as a WebSocket: look at it and type into it",
    params: terminal,
    result: Terminal,
    errors: guestErrors,
  }),
  "vm.terminal.resize": operation({
    method: "POST",
    path: "/v1/vms/{vm}/terminals/{terminal}/resize",
    summary: "Give a terminal another size",
    params: terminal,
    body: ResizeTerminal,
    result: Terminal,
    errors: [...guestErrors, "guest_conflict"],
  }),
  "vm.terminal.input": operation({
    method: "POST",
    path: "/v1/vms/{vm}/terminals/{terminal}/input",
    summary: "Type into a terminal",
    params: terminal,
    bytesIn: true,
    result: z.object({ accepted: z.int() }),
    errors: [...guestErrors, "guest_conflict"],
  }),
  "vm.terminal.delete": operation({
    method: "DELETE",
    path: "/v1/vms/{vm}/terminals/{terminal}",
    summary: "Hang a terminal up, and forget it",
    params: terminal,
    status: 204,
    errors: guestErrors,
  }),

  "image.import": operation({
    method: "POST",
    path: "/v1/images",
    summary: "Import a directory or an ext4 file as a master image",
    body: ImportImage,
    result: Image,
    answer: "progress",
    status: 201,
    errors: ["name_taken", "invalid_image", "storage_full", "storage_unavailable"],
  }),
  "image.list": operation({
    method: "GET",
    path: "/v1/images",
    summary: "List master images",
    result: z.object({ images: z.array(Image) }),
    errors: [],
  }),
  "image.get": operation({
    method: "GET",
    path: "/v1/images/{image}",
    summary: "Show one master image",
    params: image,
    result: Image,
    errors: ["not_found"],
  }),
  "image.delete": operation({
    method: "DELETE",
    path: "/v1/images/{image}",
    summary: "Delete a master image that no workspace uses",
    params: image,
    status: 204,
    errors: ["not_found", "in_use", "storage_unavailable"],
  }),

  "workspace.create": operation({
    method: "POST",
    path: "/v1/workspaces",
    summary: "Create a workspace from a master image",
    body: CreateWorkspace,
    result: Workspace,
    status: 201,
    errors: ["not_found", "name_taken", "storage_full", "storage_unavailable"],
  }),
  "workspace.list": operation({
    method: "GET",
    path: "/v1/workspaces",
    summary: "List workspaces",
    result: z.object({ workspaces: z.array(Workspace) }),
    errors: [],
  }),
  "workspace.get": operation({
    method: "GET",
    path: "/v1/workspaces/{workspace}",
    summary: "Show one workspace and what it holds on disk",
    params: workspace,
    result: WorkspaceDetail,
    errors: ["not_found", "storage_unavailable"],
  }),
  "workspace.delete": operation({
    method: "DELETE",
    path: "/v1/workspaces/{workspace}",
    summary: "Delete a workspace that no VM uses",
    params: workspace,
    status: 204,
    errors: ["not_found", "in_use", "storage_unavailable"],
  }),

  "drive.create": operation({
    method: "POST",
    path: "/v1/drives",
    summary: "Create a data drive: empty, from a directory, or as a snapshot of another",
    body: CreateDrive,
    result: Drive,
    answer: "progress",
    status: 201,
    errors: [
      "not_found",
      "name_taken",
      "wrong_state",
      "in_use",
      "invalid_image",
      "storage_full",
      "storage_unavailable",
    ],
  }),
  "drive.list": operation({
    method: "GET",
    path: "/v1/drives",
    summary: "List data drives",
    result: z.object({ drives: z.array(Drive) }),
    errors: [],
  }),
  "drive.get": operation({
    method: "GET",
    path: "/v1/drives/{drive}",
    summary: "Show one data drive and what it holds on disk",
    params: drive,
    result: DriveDetail,
    errors: ["not_found", "storage_unavailable"],
  }),
  "drive.delete": operation({
    method: "DELETE",
    path: "/v1/drives/{drive}",
    summary: "Delete a data drive that is not attached",
    params: drive,
    status: 204,
    errors: ["not_found", "in_use", "storage_unavailable"],
  }),
  "drive.attach": operation({
    method: "POST",
    path: "/v1/drives/{drive}/attach",
    summary: "Attach a data drive to a VM that does not run",
    params: drive,
    body: AttachDrive,
    result: Drive,
    errors: ["not_found", "wrong_state", "in_use", "too_many", "invalid_image", "storage_full", "storage_unavailable"],
  }),
  "drive.detach": operation({
    method: "POST",
    path: "/v1/drives/{drive}/detach",
    summary: "Detach a data drive from its VM, which must not run",
    params: drive,
    result: Drive,
    errors: ["not_found", "wrong_state", "in_use"],
  }),
  "drive.resize": operation({
    method: "POST",
    path: "/v1/drives/{drive}/resize",
    summary: "Make a data drive larger, with its file system",
    params: drive,
    body: ResizeDrive,
    result: Drive,
    errors: ["not_found", "wrong_state", "in_use", "invalid_image", "storage_full", "storage_unavailable"],
  }),

  ...networkOperations,

  "token.create": operation({
    method: "POST",
    path: "/v1/tokens",
    summary: "Create a token for MCP clients",
    body: CreateToken,
    result: CreatedToken,
    status: 201,
    errors: ["not_found", "name_taken"],
  }),
  "token.list": operation({
    method: "GET",
    path: "/v1/tokens",
    summary: "List tokens",
    result: z.object({ tokens: z.array(Token) }),
    errors: [],
  }),
  "token.revoke": operation({
    method: "DELETE",
    path: "/v1/tokens/{token}",
    summary: "Revoke a token",
    params: exactly({ token: Reference }),
    status: 204,
    errors: ["not_found"],
  }),

  "storage.status": operation({
    method: "GET",
    path: "/v1/storage",
    summary: "Show where the disks live and what is free",
    result: StorageStatus,
    errors: ["storage_unavailable"],
  }),
} as const satisfies Record<string, Operation>;

export type Operations = typeof operations;
export type OperationName = keyof Operations;
export const operationNames = Object.keys(operations) as OperationName[];

/** codes that any operation may give */
export const commonErrors = [
  "invalid_request",
  "unauthorized",
  "forbidden_origin",
  "too_large",
  "request_timeout",
  "stopping",
  "internal",
] as const;
