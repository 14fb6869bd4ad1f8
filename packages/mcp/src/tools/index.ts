import type { GuestTool, Tool } from "../tool.ts";
import { commandKill, commandList, commandOutput, commandWait, runCommand, runCommandAsync } from "./commands.ts";
import { fileDelete, fileEdit, fileList, fileRead, fileSearch, fileWrite } from "./files.ts";
import { imageList, vmCreate, vmDelete, vmInspect, vmList, vmLogs, vmStart, vmStop } from "./vms.ts";

/** what works in a VM */
export const guestTools: readonly GuestTool[] = [
  runCommand,
  runCommandAsync,
  commandOutput,
  commandWait,
  commandKill,
  commandList,
  fileRead,
  fileWrite,
  fileEdit,
  fileDelete,
  fileList,
  fileSearch,
];

/** what works on VMs */
export const hostTools: readonly Tool[] = [vmList, vmInspect, vmCreate, vmStart, vmStop, vmDelete, vmLogs, imageList];

/** of those, what an endpoint for one VM offers, with that VM filled in */
export const hostToolsOfOneVm: ReadonlySet<Tool> = new Set([vmInspect, vmStart, vmStop, vmLogs]);

export const toolNames: readonly string[] = [...guestTools, ...hostTools].map(({ name }) => name);
