import type { Event } from "@workfort/contract";
import { printable, type Paint } from "../format/colour.ts";
import { formatTime } from "../format/units.ts";

const typeColumns = 22;

/** `2026-11-23 14:05:09  vm.state_changed    dev  running → paused: paused on request` */
export function eventLine(event: Event, paint: Paint): string {
  const words = [paint("dim", formatTime(event.at)), paint("bold", event.type.padEnd(typeColumns)), describe(event)];
  return `${words.join("  ").trimEnd()}\n`;
}

const gaps: Record<Extract<Event, { type: "gap" }>["reason"], string> = {
  restarted: "the daemon was restarted; what changed meanwhile is not told",
  forgotten: "older events are no longer held",
  slow: "this reader fell behind",
};

function describe(event: Event): string {
  switch (event.type) {
    case "daemon.ready":
      return `version ${event.version}, pid ${event.pid}`;
    case "daemon.stopping":
      return "";
    case "vm.created":
    case "vm.deleted":
      return event.vmName;
    case "vm.state_changed":
      return `${event.vmName}  ${event.from} → ${event.to}: ${printable(event.reason)}`;
    case "agent.ready":
      return `${event.vmName}  ${printable(event.version)}`;
    case "agent.unreachable":
      return `${event.vmName}  ${printable(event.reason)}`;
    case "process.started":
      return `${event.vmName}  ${event.processId}  ${printable(event.command)}`;
    case "process.ended":
      return `${event.vmName}  ${event.processId}  ${endOf(event)}`;
    case "image.created":
    case "image.deleted":
      return event.imageName;
    case "workspace.created":
    case "workspace.deleted":
      return event.workspaceName;
    case "drive.created":
    case "drive.deleted":
      return event.driveName;
    case "drive.resized":
      return `${event.driveName}  ${event.sizeBytes} bytes`;
    case "drive.attached":
    case "drive.detached":
      return `${event.driveName}  ${event.vmName}`;
    case "network.policy_changed":
      return `${event.vmName ?? "default"}  ${event.mode}${event.vmName !== null && event.source === "default" ? ", the default" : ""}`;
    case "service.created":
    case "service.deleted":
      return event.serviceName;
    case "gap":
      return gaps[event.reason];
  }
}

function endOf({ exitCode, signal, timedOut }: Extract<Event, { type: "process.ended" }>): string {
  const how = exitCode === null ? `signal ${printable(signal ?? "?")}` : `exit code ${exitCode}`;
  return timedOut ? `${how}, its time was up` : how;
}
