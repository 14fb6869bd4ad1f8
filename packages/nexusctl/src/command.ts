import type { CommandContext, TypedCommandParameters } from "@stricli/core";
import type { Cli } from "./cli.ts";

type BaseFlags = Readonly<Record<string, unknown>>;

/** One command: what it takes, what its help says, what it does. Its one-line summary is in the command table. */
export interface CommandSpec<FLAGS extends BaseFlags, ARGS extends readonly unknown[]> {
  readonly parameters: NoInfer<TypedCommandParameters<FLAGS, ARGS, CommandContext>>;
  /** sentences below the summary */
  readonly about?: string;
  /** command lines (without `nexusctl`) and what they do */
  readonly examples: readonly (readonly [line: string, does: string])[];
  /** arguments after this many are the words of another program's command line, flags and all */
  readonly commandAfter?: number;
  /** gives the exit code, 0 if nothing */
  readonly run: (cli: Cli, flags: FLAGS, ...args: ARGS) => Promise<number | void>;
}

/** a command whose types have been checked */
export type AnyCommand = CommandSpec<BaseFlags, readonly unknown[]>;

export function defineCommand<
  // as in stricli: an interface of flags has no index signature
  const FLAGS extends Readonly<Partial<Record<keyof FLAGS, unknown>>>,
  const ARGS extends readonly unknown[],
>(spec: CommandSpec<FLAGS, ARGS>): AnyCommand {
  return spec as unknown as AnyCommand;
}

/** flags that every command with a result has */
export interface OutputFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export const outputFlags = {
  json: { kind: "boolean", optional: true, withNegated: false, brief: "print the daemon's answer as JSON" },
  quiet: { kind: "boolean", optional: true, withNegated: false, brief: "print only names" },
} as const;
export const outputAliases = { q: "quiet" } as const;
