import * as z from "zod";
import { exactly, matching, says, wholeNumber } from "./fields.ts";
import { commandFields, ProcessId } from "./process.ts";

/** a terminal is an object of the guest, with a process on it and a model of its screen: viewers come and go */

export const TerminalId = ProcessId;

const columns = () => wholeNumber(1, 1000, "columns");
const rows = () => wholeNumber(1, 1000, "rows");

export const Terminal = z.object({
  id: TerminalId,
  pid: z.int(),
  argv: z.array(z.string()),
  cwd: z.string(),
  user: z.string(),
  state: z.enum(["running", "ended"]),
  exitCode: z.int().min(0).max(255).nullable(),
  signal: z.string().nullable().describe("that ended it, without SIG, for example `HUP`"),
  startedAt: z.int().describe("Unix ms by the guest's clock"),
  endedAt: z.int().nullable(),
  columns: z.int().min(1).max(1000),
  rows: z.int().min(1).max(1000),
  title: z.string().max(1024).describe("set by its programs"),
  viewers: z.int().nonnegative(),
});
export type Terminal = z.infer<typeof Terminal>;

const { argv, env, cwd, user } = commandFields;

export const CreateTerminal = exactly({
  id: TerminalId.default("main").describe("chosen by the caller so that a retry cannot make it twice"),
  argv: argv.optional().describe("program and arguments; default: the user's shell, as a login shell"),
  env,
  cwd,
  user,
  columns: columns().default(80),
  rows: rows().default(24),
});
export type CreateTerminal = z.infer<typeof CreateTerminal>;

export const ResizeTerminal = exactly({ columns: columns(), rows: rows() });
export type ResizeTerminal = z.infer<typeof ResizeTerminal>;

const side = (what: string) =>
  matching(/^([1-9]\d{0,2}|1000)$/, `must be a whole number of ${what} from 1 to 1000`)
    .transform(Number)
    .optional()
    .describe(`${what} the terminal is to have from now on`);

const yesOrNo = () => z.enum(["true", "false"], says("must be true or false")).default("false");

/** query of the WebSocket */
export const AttachTerminal = exactly({
  columns: side("columns"),
  rows: side("rows"),
  readOnly: yesOrNo(),
  takeOver: yesOrNo().describe("the other viewers only look on from now on"),
})
  .refine(({ columns: width, rows: height }) => (width === undefined) === (height === undefined), {
    message: "must be given with rows, or neither",
    path: ["columns"],
  })
  .refine(({ readOnly, takeOver }) => !(readOnly === "true" && takeOver === "true"), {
    message: "must not be true for a viewer who only looks on",
    path: ["takeOver"],
  });

/** subprotocol of the WebSocket */
export const terminalProtocol = "workfort.terminal";
/** a browser cannot send a header with a WebSocket: the token is the rest of a second subprotocol */
export const bearerProtocolPrefix = "workfort.bearer.";

/** what a viewer may say, beside what is typed (binary messages) */
export const TerminalRequest = exactly({
  type: z.literal("resize", says("must be resize")),
  columns: columns(),
  rows: rows(),
});
