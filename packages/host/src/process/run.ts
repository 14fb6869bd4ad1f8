import { spawn } from "node:child_process";

/** A tool that did not do what it was run for. */
export class ToolError extends Error {
  override readonly name = "ToolError";
  /** null where it could not be run or was ended by a signal */
  readonly exitCode: number | null;

  constructor(message: string, exitCode: number | null, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string | undefined>;
  /** text or bytes for its stdin; otherwise it has none */
  input?: string | Uint8Array;
  /** it is killed at this age, ms */
  timeoutMs?: number;
  signal?: AbortSignal | undefined;
  /** exit codes that are no failure, [0] if absent */
  okCodes?: readonly number[];
  /** called with each line of its stderr as it comes */
  onErrorLine?: (line: string) => void;
  /** of the captured outputs, utf8 if absent */
  encoding?: "utf8" | "latin1";
}

export interface ToolResult {
  exitCode: number;
  stdout: string;
  stderr: string;
  /** whether its stdout was longer than what is kept */
  truncated: boolean;
}

/** of each output that is kept; what comes after is dropped, the tool is not held up */
const keptBytes = 64 * 1024 * 1024;

/** the Debian package that carries a tool, for the error that says that it is missing */
const debianPackages: Record<string, string> = {
  mke2fs: "e2fsprogs",
  e2fsck: "e2fsprogs",
  debugfs: "e2fsprogs",
  resize2fs: "e2fsprogs",
  "mkfs.btrfs": "btrfs-progs",
  fakeroot: "fakeroot",
  mmdebstrap: "mmdebstrap",
  xz: "xz-utils",
  getfattr: "attr",
  tar: "tar",
  "dpkg-deb": "dpkg",
  nft: "nftables",
  ip: "iproute2",
  bridge: "iproute2",
  "qemu-system-x86_64": "qemu-system-x86",
  "qemu-system-aarch64": "qemu-system-arm",
};

/** Runs a tool to its end, without a shell; rejects with ToolError unless it exits as expected. */
export async function runTool(argv: readonly [string, ...string[]], options: RunOptions = {}): Promise<ToolResult> {
  const [program, ...rest] = argv;
  const name = program.split("/").at(-1) ?? program;
  options.signal?.throwIfAborted();
  const child = spawn(program, rest, {
    cwd: options.cwd,
    env: options.env === undefined ? process.env : { ...process.env, ...options.env },
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    detached: true, // a group of its own, so that its children end with it
  });
  let killed: string | null = null;
  const kill = (why: string): void => {
    killed ??= why;
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // it has just ended
      }
    }
  };
  const timer =
    options.timeoutMs === undefined
      ? null
      : setTimeout(kill, options.timeoutMs, `took longer than ${options.timeoutMs / 1000} s`);
  const abort = (): void => kill("was given up");
  options.signal?.addEventListener("abort", abort, { once: true });
  const stdout = new Kept(undefined, options.encoding);
  const stderr = new Kept(options.onErrorLine);
  child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk));
  if (options.input !== undefined && child.stdin !== null) {
    child.stdin.on("error", () => {}); // a tool that ends early is judged by its exit code
    child.stdin.end(options.input);
  }
  const { promise, resolve, reject } = Promise.withResolvers<{ code: number | null; by: NodeJS.Signals | null }>();
  child.once("error", reject);
  child.once("close", (code, by) => resolve({ code, by }));
  try {
    const { code, by } = await promise;
    if (options.signal?.aborted) throw options.signal.reason;
    if (code !== null && killed === null && (options.okCodes ?? [0]).includes(code))
      return { exitCode: code, stdout: stdout.text(), stderr: stderr.text(), truncated: stdout.truncated };
    const said = stderr.text().trim().split("\n").slice(-5).join("\n");
    throw new ToolError(
      `${name} ${killed ?? (by === null ? `failed with exit code ${code}` : `was ended by ${by}`)}${said === "" ? "" : `: ${said}`}`,
      code,
    );
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    const debian = debianPackages[name];
    throw new ToolError(`${name} is not installed${debian === undefined ? "" : ` (Debian package ${debian})`}`, null, {
      cause: error,
    });
  } finally {
    if (timer !== null) clearTimeout(timer);
    options.signal?.removeEventListener("abort", abort);
  }
}

class Kept {
  readonly #chunks: Buffer[] = [];
  readonly #onLine: ((line: string) => void) | undefined;
  readonly #encoding: BufferEncoding;
  truncated = false;
  #room = keptBytes;
  #partial = "";

  constructor(onLine?: (line: string) => void, encoding: BufferEncoding = "utf8") {
    this.#onLine = onLine;
    this.#encoding = encoding;
  }

  push(chunk: Buffer): void {
    const kept = chunk.subarray(0, this.#room);
    this.truncated ||= kept.length < chunk.length;
    this.#room -= kept.length;
    if (kept.length > 0) this.#chunks.push(kept);
    if (this.#onLine === undefined) return;
    const lines = (this.#partial + chunk.toString("utf8")).split(/\r|\n/);
    this.#partial = (lines.pop() ?? "").slice(-4096);
    for (const line of lines) this.#onLine(line);
  }

  text(): string {
    return Buffer.concat(this.#chunks).toString(this.#encoding);
  }
}
