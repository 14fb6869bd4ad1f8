import * as z from "zod";
import { VmDrive } from "./drive.ts";
import { exactly, oneOf, trueOrFalse, wholeNumber } from "./fields.ts";
import { Name, Reference, VmId, WorkspaceId } from "./names.ts";
import { CreateVmNetwork, VmNetwork } from "./network.ts";

/** the states of a VM; agent readiness is a property of a running VM, not a state */
export const vmStates = ["created", "starting", "running", "paused", "stopping", "stopped", "crashed"] as const;
export const VmState = oneOf(vmStates);
export type VmState = z.infer<typeof VmState>;

/** the states in which a VMM process exists or may exist */
export const liveStates: ReadonlySet<VmState> = new Set(["starting", "running", "paused", "stopping"]);

export const agentStates = ["absent", "connecting", "ready", "unreachable"] as const;
export const AgentState = z.enum(agentStates).describe("`absent` while the VM does not run");
export type AgentState = z.infer<typeof AgentState>;

/** in order of preference */
export const vmmKinds = ["firecracker", "qemu"] as const;
export const VmmKind = z.enum(vmmKinds);
export type VmmKind = z.infer<typeof VmmKind>;
export const VmmChoice = oneOf(["auto", ...vmmKinds]).describe("`auto` takes the best that works on this host");
export type VmmChoice = z.infer<typeof VmmChoice>;

export const Accelerator = z.enum(["kvm", "tcg"]).describe("`tcg` is software emulation");
export type Accelerator = z.infer<typeof Accelerator>;

export const restartPolicies = ["never", "on-failure", "always"] as const;
export const RestartPolicy = oneOf(restartPolicies).describe(
  "`on-failure` starts it again when it crashed, `always` also when its guest shut itself down",
);
export type RestartPolicy = z.infer<typeof RestartPolicy>;

export const VcpuCount = wholeNumber(1, 32).describe("virtual CPUs, 1 to 32");
export const MemoryMiB = wholeNumber(64, 1_048_576, "MiB").describe("guest memory in MiB, 64 to 1048576");

export const Confinement = z.object({
  group: z
    .enum(["systemd", "cgroup", "none"])
    .describe("what limits its memory and processor time: a service of systemd, a control group of ours, nothing"),
  files: z.enum(["jailer", "landlock", "none"]).describe("what keeps the host's files from it"),
  reason: z.string().describe("why not more; empty where there is nothing more"),
});
export type Confinement = z.infer<typeof Confinement>;

/** the VMM that runs a VM */
export const RunningVmm = z.object({
  kind: VmmKind,
  accelerator: Accelerator,
  reason: z.string().describe("why this VMM and this accelerator"),
  pid: z.int(),
  confinement: Confinement,
});
export type RunningVmm = z.infer<typeof RunningVmm>;

export const Vm = z.object({
  id: VmId,
  name: Name,
  state: VmState,
  stateReason: z.string().describe("why it is in this state"),
  agent: AgentState,
  agentSince: z.int().nullable().describe("Unix ms since which the daemon has seen its agent so; null while absent"),
  agentVersion: z.string().nullable().describe("of its agent, by its own word; null until that has answered"),
  cid: z.int().describe("context id on the vsock address family, from 3, unique among the VMs that exist"),
  vcpuCount: VcpuCount,
  memoryMiB: MemoryMiB,
  vmm: VmmChoice,
  restart: RestartPolicy,
  startOnBoot: z.boolean().describe("whether the first daemon after a restart of the host starts it"),
  restartAt: z.int().nullable().describe("Unix ms at which it will be started again; null where it will not"),
  workspaceId: WorkspaceId,
  workspaceName: Name,
  imageName: Name.nullable().describe("the master image its workspace came from; null once that was deleted"),
  drives: z.array(VmDrive).describe("its data drives, in the order of their devices"),
  network: VmNetwork.nullable().describe("its network interface; null where it was created without one"),
  running: RunningVmm.nullable(),
  warnings: z
    .array(z.string())
    .describe("what could not be done when it was started, such as giving it a network or mounting a drive"),
  createdAt: z.int().describe("Unix ms"),
  startedAt: z.int().nullable().describe("Unix ms of the last start"),
  endedAt: z.int().nullable().describe("Unix ms at which the last run ended"),
});
export type Vm = z.infer<typeof Vm>;

export const CreateVm = exactly({
  name: Name,
  image: Reference.optional().describe("master image; a new workspace is made from it, named as the VM"),
  workspace: Reference.optional().describe("an existing workspace that no VM uses"),
  vcpuCount: VcpuCount.optional().describe("default from the configuration (1)"),
  memoryMiB: MemoryMiB.optional().describe("default from the configuration (512)"),
  vmm: VmmChoice.default("auto"),
  restart: RestartPolicy.default("never"),
  startOnBoot: trueOrFalse().default(false).describe("start it when the host has booted"),
  network: CreateVmNetwork.optional().describe("by default an interface under the default policy"),
}).refine((body) => (body.image === undefined) !== (body.workspace === undefined), {
  path: ["image"],
  message: "give either `image` or `workspace`",
});
export type CreateVm = z.infer<typeof CreateVm>;

export const StartVm = exactly({
  waitForAgent: trueOrFalse().default(true).describe("answer only when the guest agent has answered"),
  timeoutMs: wholeNumber(1000, 600_000, "ms")
    .default(120_000)
    .describe("how long to wait for the agent; the VM runs on after that"),
});
export type StartVm = z.infer<typeof StartVm>;

export const StopVm = exactly({
  graceMs: wholeNumber(0, 600_000, "ms")
    .default(10_000)
    .describe("what the guest gets to shut down by itself before it is ended"),
});
export type StopVm = z.infer<typeof StopVm>;

/** one phase of a boot */
export const BootPhase = z.object({
  name: z.enum(["admission", "clone_disk", "network", "spawn", "vmm_api", "configure", "kernel", "agent"]),
  startedAtMs: z.number().describe("ms after the start was asked for"),
  durationMs: z.number(),
});
export type BootPhase = z.infer<typeof BootPhase>;

/** one run of a VM, from start to end */
export const Boot = z.object({
  number: z.int().describe("1 for the VM's first boot"),
  startedAt: z.int(),
  readyAt: z.int().nullable().describe("Unix ms at which the agent answered"),
  endedAt: z.int().nullable(),
  vmm: VmmKind.nullable(),
  accelerator: Accelerator.nullable(),
  kernel: z.string().nullable(),
  phases: z.array(BootPhase),
  guestBootMs: z
    .number()
    .nullable()
    .describe("Firecracker's own boot timer: ms from its start of the guest to the agent's first words; null without"),
  endReason: z.string().nullable(),
  exitCode: z.int().nullable().describe("of the VMM"),
  signal: z.string().nullable().describe("that ended the VMM, for example `SIGKILL`"),
});
export type Boot = z.infer<typeof Boot>;

export const StateChange = z.object({
  from: VmState.nullable().describe("null for the creation"),
  to: VmState,
  reason: z.string(),
  at: z.int().describe("Unix ms"),
});
export type StateChange = z.infer<typeof StateChange>;

export const VmHistory = z.object({
  states: z.array(StateChange).describe("newest first, at most 1000"),
  boots: z.array(Boot).describe("newest first, at most 100"),
});
export type VmHistory = z.infer<typeof VmHistory>;
