import * as z from "zod";
import { matching } from "./fields.ts";
import { DriveId, ImageId, Name, VmId, WorkspaceId } from "./names.ts";
import { PolicyMode, PolicySource } from "./network.ts";
import { ProcessId } from "./process.ts";
import { VmState } from "./vm.ts";

/**
 * What has changed, told once it is so (codex/reference/events.md).
 *
 * An id is the run of the daemon and a number that grows by one, so a reader knows what it has missed.
 */
export const EventId = matching(/^[0-9a-f]{12}-\d{1,15}$/, "must be the id of an event, such as 0123456789ab-17");

const ofVm = { vmId: VmId, vmName: Name };
const ofImage = { imageId: ImageId, imageName: Name };
const ofWorkspace = { workspaceId: WorkspaceId, workspaceName: Name };
const ofDrive = { driveId: DriveId, driveName: Name };
const ofProcess = { ...ofVm, processId: ProcessId };

function event<const Type extends string, const Shape extends z.ZodRawShape>(type: Type, shape: Shape) {
  return z.object({ id: EventId, at: z.int().describe("Unix ms"), type: z.literal(type), ...shape });
}

const changes = [
  event("daemon.ready", { version: z.string(), pid: z.int() }),
  event("daemon.stopping", {}),
  event("vm.created", ofVm),
  event("vm.deleted", ofVm),
  event("vm.state_changed", { ...ofVm, from: VmState, to: VmState, reason: z.string() }),
  event("agent.ready", { ...ofVm, version: z.string().describe("of the guest agent, by its own word") }),
  event("agent.unreachable", { ...ofVm, reason: z.string().describe("may be empty") }),
  event("process.started", { ...ofProcess, command: z.string().describe("the program, without its arguments") }),
  event("process.ended", {
    ...ofProcess,
    exitCode: z.int().min(0).max(255).nullable(),
    signal: z.string().nullable().describe("that ended it, without SIG"),
    timedOut: z.boolean(),
  }),
  event("image.created", ofImage),
  event("image.deleted", ofImage),
  event("workspace.created", ofWorkspace),
  event("workspace.deleted", ofWorkspace),
  event("drive.created", ofDrive),
  event("drive.deleted", ofDrive),
  event("drive.resized", { ...ofDrive, sizeBytes: z.int() }),
  event("drive.attached", { ...ofDrive, ...ofVm }),
  event("drive.detached", { ...ofDrive, ...ofVm }),
  event("network.policy_changed", {
    vmId: VmId.nullable().describe("null where it is the default policy"),
    vmName: Name.nullable(),
    mode: PolicyMode.describe("of the policy that is in force now"),
    source: PolicySource,
  }),
  event("service.created", { serviceName: Name }),
  event("service.deleted", { serviceName: Name }),
] as const;

export const gapReasons = ["restarted", "forgotten", "slow"] as const;

/** what is told passes every filter; its id is the one to go on behind */
const gap = event("gap", {
  reason: z
    .enum(gapReasons)
    .describe(
      "`restarted`: the id that was given is none of this run of the daemon; `forgotten`: what came after it is no " +
        "longer held; `slow`: this reader fell behind, and the stream ends here",
    ),
});

export const Event = z.discriminatedUnion("type", [...changes, gap]);
export type Event = z.infer<typeof Event>;
/** a change, before it has its id and time */
export type Change = Event extends infer One ? (One extends { type: "gap" } ? never : Omit<One, "id" | "at">) : never;
export type ChangeType = Change["type"];

export const changeTypes: readonly ChangeType[] = changes.map((one) => one.shape.type.value);

const anyType = `(${changeTypes.join("|").replaceAll(".", "\\.")})`;

/** types, separated by commas */
export const ChangeTypes = matching(
  new RegExp(`^${anyType}(,${anyType})*$`),
  `must be one or more of ${changeTypes.join(", ")}, with commas between them`,
).transform((text) => text.split(",") as ChangeType[]);

export const eventStreamType = "text/event-stream";
/** a stream that has nothing to tell says so this often, ms */
export const heartbeatMs = 15_000;
