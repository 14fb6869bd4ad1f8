import * as z from "zod";
import { exactly, matching, oneOf, says, trueOrFalse, wholeNumber } from "./fields.ts";

/** a process is an object of the guest: its transport may come and go, it stays */

export const ProcessId = matching(
  /^[a-z0-9][a-z0-9-]{0,63}$/,
  "must be 1 to 64 characters of a-z, 0-9 and -, beginning with a letter or digit",
);

const OutputPosition = z.object({
  start: z.int().nonnegative().describe("offset of the oldest byte still held"),
  end: z.int().nonnegative().describe("bytes ever written"),
  closed: z.boolean(),
});

export const Process = z.object({
  id: ProcessId,
  pid: z.int(),
  argv: z.array(z.string()),
  cwd: z.string(),
  user: z.string(),
  state: z.enum(["running", "exited"]),
  exitCode: z.int().min(0).max(255).nullable(),
  signal: z.string().nullable().describe("that ended it, without SIG, for example `KILL`"),
  timedOut: z.boolean(),
  startedAt: z.int().describe("Unix ms by the guest's clock"),
  endedAt: z.int().nullable(),
  stdin: z.object({ state: z.enum(["none", "open", "closed"]), accepted: z.int().nonnegative() }),
  stdout: OutputPosition,
  stderr: OutputPosition,
});
export type Process = z.infer<typeof Process>;

const argvAllowed = says("must be a list of 1 to 4096 texts: the program and its arguments");
const argument = matching(/^[^\0]*$/, "must be text without NUL");
const stdinAllowed = says("must be text of at most 1048576 characters");
const signalAllowed = "must be a name without SIG, for example TERM, or a number from 1 to 64";

export const commandFields = {
  argv: z
    .array(argument, argvAllowed)
    .min(1, argvAllowed)
    .max(4096, argvAllowed)
    .describe('program and arguments, for example ["uname", "-a"]; no shell is involved'),
  env: z
    .record(
      z.string().regex(/^[^=\0]+$/),
      argument,
      says("must be an object of texts, each under a name that is not empty and has no = and no NUL"),
    )
    .optional()
    .describe("laid over the user's login environment"),
  cwd: matching(/^[^\0]{1,4096}$/, "must be 1 to 4096 characters without NUL")
    .optional()
    .describe("default: the user's home"),
  user: matching(/^[^\0]{1,256}$/, "must be 1 to 256 characters without NUL")
    .optional()
    .describe("`name`, `uid`, `name:group` or `uid:gid`; default root"),
  timeoutMs: wholeNumber(1, 604_800_000, "ms").optional().describe("TERM at this age, KILL 5 s later"),
};

export const StartProcess = exactly({
  ...commandFields,
  id: ProcessId.optional().describe("chosen by the caller so that a retry cannot start it twice"),
  stdin: oneOf(["none", "open"]).default("none"),
  attach: trueOrFalse().default(false).describe("answer with the output stream instead of the process"),
});
export type StartProcess = z.infer<typeof StartProcess>;

export const Exec = exactly({
  ...commandFields,
  stdin: z
    .string(stdinAllowed)
    .max(1_048_576, stdinAllowed)
    .optional()
    .describe("text for the command's stdin, at most 1 MiB"),
});
export type Exec = z.infer<typeof Exec>;

export const ExecResult = z.object({
  processId: ProcessId,
  exitCode: z.int().min(0).max(255).nullable(),
  signal: z.string().nullable(),
  timedOut: z.boolean(),
  stdout: z.string().describe("the first MiB, as UTF-8"),
  stderr: z.string().describe("the first MiB, as UTF-8"),
  truncated: z.boolean().describe("whether an output was longer; start a process instead to read all of it"),
});
export type ExecResult = z.infer<typeof ExecResult>;

export const SignalProcess = exactly({
  signal: z
    .union([matching(/^[A-Z][A-Z0-9+-]{1,11}$/, signalAllowed), wholeNumber(1, 64)], says(signalAllowed))
    .describe("goes to the process group"),
});

export type SignalProcess = z.infer<typeof SignalProcess>;

export const outputStreamType = "application/vnd.workfort.output";
