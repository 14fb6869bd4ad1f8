import * as z from "zod";

/** a process is an object of the guest: its transport may come and go, it stays */

export const ProcessId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, "1 to 64 characters of a-z, 0-9 and -");

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

const noNul = (text: string): boolean => !text.includes("\0");

const commandFields = {
  argv: z
    .array(z.string().refine(noNul, "no NUL"))
    .min(1)
    .max(4096)
    .describe('program and arguments, for example ["uname", "-a"]; no shell is involved'),
  env: z
    .record(
      z
        .string()
        .min(1)
        .refine((key) => noNul(key) && !key.includes("="), "no = and no NUL"),
      z.string().refine(noNul, "no NUL"),
    )
    .optional()
    .describe("laid over the user's login environment"),
  cwd: z.string().min(1).max(4096).refine(noNul, "no NUL").optional().describe("default: the user's home"),
  user: z.string().min(1).max(256).optional().describe("`name`, `uid`, `name:group` or `uid:gid`; default root"),
  timeoutMs: z.int().min(1).max(604_800_000).optional().describe("TERM at this age, KILL 5 s later"),
};

export const StartProcess = z.strictObject({
  ...commandFields,
  id: ProcessId.optional().describe("chosen by the caller so that a retry cannot start it twice"),
  stdin: z.enum(["none", "open"]).default("none"),
  attach: z.boolean().default(false).describe("answer with the output stream instead of the process"),
});
export type StartProcess = z.infer<typeof StartProcess>;

export const Exec = z.strictObject({
  ...commandFields,
  stdin: z.string().max(1_048_576).optional().describe("text for the command's stdin, at most 1 MiB"),
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

export const SignalProcess = z.strictObject({
  signal: z
    .union([
      z.string().regex(/^[A-Z][A-Z0-9+-]{1,11}$/, "a name without SIG, for example TERM"),
      z.int().min(1).max(64),
    ])
    .describe("goes to the process group"),
});

export type SignalProcess = z.infer<typeof SignalProcess>;

export const outputStreamType = "application/vnd.workfort.output";
