import { parseOffset, text } from "../parse.ts";

const vmName = { placeholder: "NAME", brief: "name or id of a VM", parse: text } as const;
const processId = { placeholder: "ID", brief: "id of a process, as vm process list shows", parse: text } as const;

/** positional arguments of the commands of `vm process` */
export const oneProcess = { kind: "tuple", parameters: [vmName, processId] } as const;
export const processAndSignal = {
  kind: "tuple",
  parameters: [vmName, processId, { placeholder: "SIGNAL", brief: "for example TERM, or a number", parse: text }],
} as const;

/** where to begin in each output */
export const offsetFlags = {
  stdout: {
    kind: "parsed",
    parse: parseOffset,
    optional: true,
    placeholder: "BYTE",
    brief: "first byte wanted of stdout (default the oldest held)",
  },
  stderr: {
    kind: "parsed",
    parse: parseOffset,
    optional: true,
    placeholder: "BYTE",
    brief: "first byte wanted of stderr (default the oldest held)",
  },
} as const;

export interface OffsetFlags {
  readonly stdout?: number;
  readonly stderr?: number;
}
