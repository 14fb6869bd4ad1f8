import { newProcessId, runProcess, WorkfortError } from "@workfort/client";
import { cutFrames } from "@workfort/contract/output-frames";
import { Process } from "@workfort/contract";
import * as z from "zod";
import { wholeBytes } from "../characters.ts";
import type { Daemon } from "../daemon.ts";
import { KeptOutput } from "../kept-output.ts";
import { destroys, guestTool, reads, type ToolCall, type ToolResult } from "../tool.ts";

/** Commands in a VM: each is a process of the guest, which outlives the call that started it. */
const commandFields = {
  command: z
    .string()
    .min(1)
    .max(1_000_000)
    .describe('a line for /bin/sh, for example "npm test 2>&1 | tail -n 50" or "cd /srv && ls -la"'),
  cwd: z.string().min(1).max(4096).optional().describe("directory to run in; default: the user's home (/root)"),
  env: z
    .record(z.string(), z.string())
    .optional()
    .describe('variables laid over the login environment, for example {"CI": "1"}'),
  user: z.string().min(1).max(256).optional().describe("guest user to run as; default root"),
};

const CommandId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,63}$/)
  .describe("commandId that run_command or run_command_async gave");

const commandState = {
  commandId: z.string(),
  state: z.enum(["running", "exited"]),
  exitCode: z.int().nullable().describe("0 to 255; null while it runs, or if a signal ended it"),
  signal: z.string().nullable().describe("that ended it, without SIG, for example KILL"),
  timedOut: z.boolean().describe("whether it was ended for taking longer than timeoutSeconds"),
};

const outputBytes = (what: string) =>
  z.int().min(1024).max(1_048_576).default(32_768).describe(`${what}, 1024 to 1048576; default 32768`);

const defaultTimeoutSeconds = 120;
/** the longest that a call may wait */
const maxWaitSeconds = 3600;
/** how often a caller is told of new output at most, ms */
const tellEveryMs = 500;
/** between TERM and KILL of a command whose call was cancelled, ms */
const cancelGraceMs = 2_000;

export const runCommand = guestTool({
  name: "run_command",
  title: "Run a command",
  description: `Runs a shell command in the VM to its end and returns exit code, stdout and stderr. Each call is a fresh shell: directory and variables do not carry over, files and background processes do. Example: {"command": "python3 -m pytest -q", "cwd": "/work", "timeoutSeconds": 600}. A command still running after timeoutSeconds (default ${defaultTimeoutSeconds}) is ended. For servers and long jobs use run_command_async. Of a long output the beginning and the end are returned; command_output reads the rest.`,
  input: z.object({
    ...commandFields,
    stdin: z.string().max(1_048_576).optional().describe("text for its standard input"),
    timeoutSeconds: z
      .number()
      .min(1)
      .max(maxWaitSeconds)
      .default(defaultTimeoutSeconds)
      .describe("it is ended after so many seconds"),
    maxOutputBytes: outputBytes("bytes to return of each of stdout and stderr"),
  }),
  output: z.object({
    ...commandState,
    durationMs: z.int(),
    stdout: z.string(),
    stderr: z.string(),
    stdoutBytes: z.int().describe("bytes that it wrote in all"),
    stderrBytes: z.int(),
    truncated: z.boolean().describe("whether the middle of an output was left out"),
  }),
  annotations: { ...destroys, openWorldHint: true },
  async run({ command, stdin, timeoutSeconds, maxOutputBytes, ...where }, vm, call) {
    const id = newProcessId();
    const kept = { stdout: new KeptOutput(maxOutputBytes), stderr: new KeptOutput(maxOutputBytes) };
    const news = new News(call);
    const begun = performance.now();
    const ended = await endedWithCall(call, { vm, process: id }, () =>
      runProcess(
        call.daemon,
        vm,
        { ...processOf(command, where), id, timeoutMs: Math.round(timeoutSeconds * 1000) },
        {
          stdin: stdin === undefined ? undefined : once(Buffer.from(stdin)),
          signal: call.signal,
          onStdout: (bytes) => news.take(kept.stdout, bytes),
          onStderr: (bytes) => news.take(kept.stderr, bytes),
        },
      ),
    );
    const [stdout, stderr] = (["stdout", "stderr"] as const).map((name) =>
      kept[name].text((left, from) => `[${left} bytes left out; command_output with ${name}Offset ${from} reads them]`),
    ) as [string, string];
    const truncated = kept.stdout.left + kept.stderr.left > 0;
    if (!truncated) call.daemon.call("process.delete", { params: { vm, process: id } }).catch(() => {}); // the agent forgets it sooner or later
    const data = {
      ...stateOf(ended),
      durationMs: Math.round(performance.now() - begun),
      stdout,
      stderr,
      stdoutBytes: kept.stdout.total,
      stderrBytes: kept.stderr.total,
      truncated,
    };
    const note = truncated ? `, commandId ${id}` : "";
    return { data, text: `${endText(data)} after ${data.durationMs} ms${note}${outputText(stdout, stderr)}` };
  },
});

export const runCommandAsync = guestTool({
  name: "run_command_async",
  title: "Start a command in the background",
  description:
    'Starts a shell command in the VM and returns at once with its commandId. It runs on when the conversation or the connection ends. Read what it writes with command_output, wait for it with command_wait, end it with command_kill. Example: {"command": "npm run dev", "cwd": "/work"}. Of each of stdout and stderr the newest 1 MiB is kept.',
  input: z.object({
    ...commandFields,
    timeoutSeconds: z
      .number()
      .min(1)
      .max(604_800)
      .optional()
      .describe("it is ended after so many seconds; default: never"),
  }),
  output: z.object({ commandId: z.string(), pid: z.int() }),
  annotations: { ...destroys, openWorldHint: true },
  async run({ command, timeoutSeconds, ...where }, vm, { daemon, signal }) {
    const started = await daemon.call(
      "process.start",
      {
        params: { vm },
        body: {
          ...processOf(command, where),
          id: newProcessId(),
          ...(timeoutSeconds === undefined ? {} : { timeoutMs: Math.round(timeoutSeconds * 1000) }),
        },
      },
      { signal },
    );
    const { id, pid } = Process.parse(started);
    return { data: { commandId: id, pid }, text: `started as ${id} (pid ${pid})` };
  },
});

export const commandOutput = guestTool({
  name: "command_output",
  title: "Read a command's output",
  description:
    'Reads what a command has written, from byte offsets on; call it again with stdoutNext and stderrNext as the offsets to read on. Does not wait. Example: {"commandId": "run-…", "stdoutOffset": 0}. If older bytes are gone, reading begins at the oldest that is kept.',
  input: z.object({
    commandId: CommandId,
    stdoutOffset: z.int().nonnegative().default(0).describe("byte to begin at"),
    stderrOffset: z.int().nonnegative().default(0).describe("byte to begin at"),
    maxBytes: outputBytes("most bytes to return of each output"),
  }),
  output: z.object({
    ...commandState,
    stdout: z.string(),
    stderr: z.string(),
    stdoutNext: z.int().describe("offset to read on from"),
    stderrNext: z.int(),
    more: z.boolean().describe("whether more can be read at once"),
    lostBytes: z.int().describe("bytes after the offsets that are gone"),
  }),
  annotations: reads,
  async run({ commandId, stdoutOffset, stderrOffset, maxBytes }, vm, call) {
    const data = await readOutput(call, { vm, process: commandId }, { stdoutOffset, stderrOffset, maxBytes });
    const lost = data.lostBytes > 0 ? `; ${data.lostBytes} older bytes are gone` : "";
    const more = data.more ? `; more from stdoutOffset ${data.stdoutNext}, stderrOffset ${data.stderrNext}` : "";
    return { data, text: `${endText(data)}${lost}${more}${outputText(data.stdout, data.stderr)}` };
  },
});

export const commandWait = guestTool({
  name: "command_wait",
  title: "Wait for a command",
  description:
    'Waits until a background command has ended, or until timeoutSeconds have passed; the command runs on in that case. Example: {"commandId": "run-…", "timeoutSeconds": 60}.',
  input: z.object({
    commandId: CommandId,
    timeoutSeconds: z.number().min(0).max(maxWaitSeconds).default(60).describe("longest wait, in seconds"),
  }),
  output: z.object(commandState),
  annotations: reads,
  run: async ({ commandId, timeoutSeconds }, vm, call) =>
    await stateAfter(call, { vm, process: commandId }, timeoutSeconds),
});

export const commandKill = guestTool({
  name: "command_kill",
  title: "End a command",
  description:
    'Sends a signal to a command and everything it started: TERM asks it to end, KILL ends it, INT is Ctrl-C. Example: {"commandId": "run-…", "signal": "TERM"}. Waits up to 5 seconds to tell whether it has ended.',
  input: z.object({
    commandId: CommandId,
    signal: z.enum(["TERM", "KILL", "INT", "HUP", "QUIT", "USR1", "USR2"]).default("TERM"),
  }),
  output: z.object(commandState),
  annotations: { ...destroys, idempotentHint: true },
  async run({ commandId, signal }, vm, call) {
    const params = { vm, process: commandId };
    await call.daemon.call("process.signal", { params, body: { signal } }, { signal: call.signal }).catch((error) => {
      if (!(error instanceof WorkfortError) || error.code !== "guest_conflict") throw error; // it has ended already
    });
    return await stateAfter(call, params, 5);
  },
});

export const commandList = guestTool({
  name: "command_list",
  title: "List commands",
  description: "Lists the commands of the VM that run or have ended lately, oldest first, with their commandIds.",
  input: z.object({}),
  output: z.object({
    commands: z.array(
      z.object({ ...commandState, command: z.string(), startedAt: z.int().describe("Unix ms, guest's clock") }),
    ),
  }),
  annotations: reads,
  async run(_input, vm, { daemon, signal }) {
    const { processes } = await daemon.call("process.list", { params: { vm } }, { signal });
    const commands = processes.map((process) => ({
      ...stateOf(process),
      command: process.argv.join(" ").slice(0, 500),
      startedAt: process.startedAt,
    }));
    const text = commands.map((one) => `${one.commandId}  ${endText(one)}  ${one.command}`).join("\n");
    return { data: { commands }, text: text === "" ? "there are none" : text };
  },
});

function processOf(
  command: string,
  where: { cwd?: string | undefined; env?: Record<string, string> | undefined; user?: string | undefined },
) {
  return { argv: ["/bin/sh", "-c", command], ...where };
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

type State = z.infer<z.ZodObject<typeof commandState>>;

function stateOf({ id, state, exitCode, signal, timedOut }: Process): State {
  return { commandId: id, state, exitCode, signal, timedOut };
}

function endText({ state, exitCode, signal, timedOut }: State): string {
  if (state === "running") return "still running";
  const why = timedOut ? ", since it took too long" : "";
  return signal === null ? `exit code ${exitCode}${why}` : `ended by SIG${signal}${why}`;
}

function outputText(stdout: string, stderr: string): string {
  const part = (name: string, text: string): string => (text === "" ? "" : `\n--- ${name}\n${text.replace(/\n$/, "")}`);
  return part("stdout", stdout) + part("stderr", stderr) || "\n(no output)";
}

/** How a command stands once it has ended, or when the time is up. */
async function stateAfter(
  { daemon, signal }: ToolCall,
  params: { vm: string; process: string },
  seconds: number,
): Promise<ToolResult<State>> {
  const patience = AbortSignal.timeout(Math.round(seconds * 1000));
  const process = await daemon
    .call("process.wait", { params }, { signal: AbortSignal.any([signal, patience]) })
    .catch(async (error: unknown) => {
      if (!patience.aborted || signal.aborted) throw error;
      return await daemon.call("process.get", { params }, { signal });
    });
  const data = stateOf(process);
  return { data, text: endText(data) };
}

/** Ends the command with its call: a caller that cancels or goes away wants it no more. */
async function endedWithCall<T>(
  { daemon, signal }: ToolCall,
  params: { vm: string; process: string },
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (signal.aborted) await endCommand(daemon, params).catch(() => {}); // it never began, or is gone with its VM
    throw error;
  }
}

async function endCommand(daemon: Daemon, params: { vm: string; process: string }): Promise<void> {
  await daemon.call("process.signal", { params, body: { signal: "TERM" } });
  const patience = AbortSignal.timeout(cancelGraceMs);
  await daemon.call("process.wait", { params }, { signal: patience }).catch(() => {});
  if (patience.aborted) await daemon.call("process.signal", { params, body: { signal: "KILL" } });
}

/** Tells a caller the newest line of output, now and then. */
class News {
  readonly #call: ToolCall;
  #toldAt = 0;

  constructor(call: ToolCall) {
    this.#call = call;
  }

  take(kept: KeptOutput, bytes: Uint8Array): void {
    kept.push(bytes);
    const now = performance.now();
    if (now - this.#toldAt < tellEveryMs) return;
    const line = Buffer.from(bytes.subarray(-1000)).toString("utf8").trimEnd().split("\n").at(-1)?.trim() ?? "";
    if (line === "") return;
    this.#toldAt = now;
    this.#call.tell(line.slice(-200));
  }
}

async function readOutput(
  { daemon, signal }: ToolCall,
  params: { vm: string; process: string },
  { stdoutOffset, stderrOffset, maxBytes }: { stdoutOffset: number; stderrOffset: number; maxBytes: number },
) {
  const first = await daemon.call("process.get", { params }, { signal });
  // an offset beyond the end is none of the guest's bytes yet
  const from = {
    stdout: Math.min(stdoutOffset, first.stdout.end),
    stderr: Math.min(stderrOffset, first.stderr.end),
  };
  const query = { stdout: String(from.stdout), stderr: String(from.stderr), follow: "false" } as const;
  const { body } = await daemon.bytes("process.output", { params, query }, { signal });
  const taken = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
  const next = { ...from };
  let lostBytes = 0;
  let more = false;
  for await (const frame of cutFrames(body, (value) => Process.parse(value))) {
    if (frame.kind !== "stdout" && frame.kind !== "stderr") continue;
    const room = maxBytes - taken[frame.kind].reduce((sum, piece) => sum + piece.length, 0);
    const piece = frame.bytes.subarray(0, room);
    more ||= piece.length < frame.bytes.length;
    if (piece.length === 0) {
      if (more && taken.stdout.length > 0 && taken.stderr.length > 0) break;
      continue;
    }
    lostBytes += frame.offset - next[frame.kind];
    taken[frame.kind].push(Uint8Array.from(piece));
    next[frame.kind] = frame.offset + piece.length;
  }
  const process = await daemon.call("process.get", { params }, { signal });
  /** a character that is not there as a whole yet, or has no room any more, is read the next time */
  const textOf = (name: "stdout" | "stderr"): string => {
    const bytes = Buffer.concat(taken[name]);
    const isLast = process.state === "exited" && next[name] === process[name].end;
    const whole = isLast ? bytes.length : wholeBytes(bytes) || bytes.length;
    next[name] -= bytes.length - whole;
    return bytes.toString("utf8", 0, whole);
  };
  const [stdout, stderr] = [textOf("stdout"), textOf("stderr")];
  return {
    ...stateOf(process),
    stdout,
    stderr,
    stdoutNext: next.stdout,
    stderrNext: next.stderr,
    more,
    lostBytes,
  };
}
