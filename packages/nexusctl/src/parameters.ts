import { text } from "./parse.ts";

/** positional arguments that many commands have */
export function oneName(brief: string) {
  return { kind: "tuple", parameters: [{ placeholder: "NAME", brief, parse: text }] } as const;
}

export function manyNames(brief: string) {
  return { kind: "array", minimum: 1, parameter: { placeholder: "NAME", brief, parse: text } } as const;
}

/** for deletions */
export const yesFlag = { kind: "boolean", optional: true, withNegated: false, brief: "do not ask" } as const;
export const yesAlias = { y: "yes" } as const;
