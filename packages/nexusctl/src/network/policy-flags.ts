import { readFileSync } from "node:fs";
import type { PolicyMode, SetNetworkPolicy } from "@workfort/contract";
import { UsageError } from "../failures.ts";
import { parseSize, text } from "../parse.ts";

/** Flags that make a network policy, in `vm create` and in `network policy set`. */
export interface PolicyFlags {
  readonly allow?: readonly string[];
  readonly preset?: readonly string[];
  readonly allowFile?: string;
}

export const policyModes = ["open", "none", "allow"] as const satisfies readonly PolicyMode[];

export const policyFlags = {
  allow: {
    kind: "parsed",
    parse: text,
    optional: true,
    variadic: true,
    placeholder: "ENTRY",
    brief: "a name or addresses that may be reached, for example *.example.com",
  },
  preset: {
    kind: "parsed",
    parse: text,
    optional: true,
    variadic: true,
    placeholder: "NAME",
    brief: "entries that belong together, see: nexusctl network presets",
  },
  allowFile: {
    kind: "parsed",
    parse: text,
    optional: true,
    placeholder: "FILE",
    brief: "entries, one a line; what follows # is passed over",
  },
} as const;

/** The entries of all three flags; none where none of them is given. */
function entriesOf({ allow, preset, allowFile }: PolicyFlags): string[] | undefined {
  if (allow === undefined && preset === undefined && allowFile === undefined) return undefined;
  const presets = (preset ?? []).map((name) => `preset:${name}`);
  return [...new Set([...presets, ...(allow ?? []), ...(allowFile === undefined ? [] : entriesIn(allowFile))])];
}

function entriesIn(path: string): string[] {
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`--allow-file: ${(error as Error).message}`);
  }
  return content.split("\n").flatMap((line) => line.replace(/#.*/, "").trim() || []);
}

/** A policy with what is given of it. */
export function policyOf(mode: PolicyMode | undefined, flags: PolicyFlags): SetNetworkPolicy {
  const allow = entriesOf(flags);
  if (allow !== undefined && mode !== undefined && mode !== "allow")
    throw new UsageError(`entries and the mode "${mode}" exclude each other`);
  return { ...(mode === undefined ? {} : { mode }), ...(allow === undefined ? {} : { allow }) };
}

/** bytes per second from `10M`, `10MB/s`, `512K` */
export function parseRate(input: string): number {
  return parseSize(input.replace(/\/s$/, ""));
}
