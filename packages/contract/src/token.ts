import * as z from "zod";
import { exactly, matching, says, wholeNumber } from "./fields.ts";
import { Name, Reference, TokenId, VmId } from "./names.ts";
import { MemoryMiB, VcpuCount } from "./vm.ts";

/** A token opens MCP, and of it only what its scope names; the API itself is the owner's alone. */

const toolName = matching(/^[a-z][a-z_]{0,63}$/, "must be the name of a tool, for example run_command");

const limits = {
  maxVms: wholeNumber(0, 1000).describe("how many VMs of its own it may have at a time by vm_create"),
  maxMemoryMiB: MemoryMiB.nullable().describe("most memory of a VM that it creates, MiB; null for any"),
  maxVcpuCount: VcpuCount.nullable().describe("most virtual CPUs of a VM that it creates; null for any number"),
};

export const Token = z.object({
  id: TokenId,
  name: Name,
  vms: z.array(VmId).nullable().describe("the VMs that it was given; null for all"),
  ownVms: z.array(VmId).describe("the VMs that it has created, which it may touch, too"),
  tools: z.array(z.string()).nullable().describe("the MCP tools that it may use; null for all"),
  ...limits,
  createdAt: z.int().describe("Unix ms"),
  expiresAt: z.int().nullable().describe("Unix ms from which it opens nothing; null for never"),
  lastUsedAt: z.int().nullable().describe("Unix ms, to the minute; null if it never was"),
});
export type Token = z.infer<typeof Token>;

const toolsAllowed = says("must be a list of 1 to 100 names of tools");
const vmsAllowed = says("must be a list of at most 1000 names or ids of VMs, or null for all");

export const CreateToken = exactly({
  name: Name,
  vms: z
    .array(Reference, vmsAllowed)
    .max(1000, vmsAllowed)
    .nullable()
    .describe("the VMs that it may touch; null for all"),
  tools: z
    .array(toolName, toolsAllowed)
    .min(1, toolsAllowed)
    .max(100, toolsAllowed)
    .optional()
    .describe("the MCP tools that it may use; all if absent"),
  maxVms: wholeNumber(0, 1000).default(0).describe("how many VMs of its own it may have at a time by vm_create"),
  maxMemoryMiB: MemoryMiB.optional().describe("most memory of a VM that it creates, MiB"),
  maxVcpuCount: VcpuCount.optional().describe("most virtual CPUs of a VM that it creates"),
  expiresInSeconds: wholeNumber(1, 315_360_000, "seconds")
    .optional()
    .describe("for how long it is good; forever if absent"),
});
export type CreateToken = z.infer<typeof CreateToken>;

export const CreatedToken = Token.extend({
  secret: z.string().describe("what a client sends as Authorization: Bearer …; it is shown only now"),
});
export type CreatedToken = z.infer<typeof CreatedToken>;
