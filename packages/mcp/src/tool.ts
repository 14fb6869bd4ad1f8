import type { ToolAnnotations } from "@modelcontextprotocol/server";
import type * as z from "zod";
import type { Daemon } from "./daemon.ts";

/** what a tool may use beside its input */
export interface ToolCall {
  daemon: Daemon;
  /** aborted when the caller cancels the call or goes away */
  signal: AbortSignal;
  /** Tells the caller how far it is, where it asked to be told; may be called as often as one likes. */
  tell: (message: string) => void;
}

/** what a tool gives: text for a model, and the same as data of its output's shape */
export interface ToolResult<Output> {
  text: string;
  data: Output;
}

export interface Tool<Input extends z.ZodObject = z.ZodObject, Output extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  readonly title: string;
  /** written for a model: what it does, when to take it, one example, its limits and units */
  readonly description: string;
  readonly input: Input;
  readonly output: Output;
  readonly annotations: ToolAnnotations;
  run(input: z.infer<Input>, call: ToolCall): Promise<ToolResult<z.infer<Output>>>;
}

/**
 * A tool that works in a VM: its input has the VM's name, which an endpoint for one VM fills in itself.
 */
export interface GuestTool<
  Input extends z.ZodObject = z.ZodObject,
  Output extends z.ZodObject = z.ZodObject,
> extends Omit<Tool<Input, Output>, "run"> {
  run(input: z.infer<Input>, vm: string, call: ToolCall): Promise<ToolResult<z.infer<Output>>>;
}

/** types a tool without widening it, and then forgets its types: the server checks every input by its schema */
export function tool<Input extends z.ZodObject, Output extends z.ZodObject>(row: Tool<Input, Output>): Tool {
  return row as unknown as Tool;
}

export function guestTool<Input extends z.ZodObject, Output extends z.ZodObject>(
  row: GuestTool<Input, Output>,
): GuestTool {
  return row as unknown as GuestTool;
}

export const reads: ToolAnnotations = { readOnlyHint: true, openWorldHint: false };
export const changes: ToolAnnotations = { readOnlyHint: false, destructiveHint: false, openWorldHint: false };
export const destroys: ToolAnnotations = { readOnlyHint: false, destructiveHint: true, openWorldHint: false };
