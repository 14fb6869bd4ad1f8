import { spawn } from "node:child_process";
import { Refusal, UsageError } from "../failures.ts";

/**
 * git of this host, in two manners. In a repository of the host's it has its user's configuration. In one that was
 * made of what a guest wrote it has none at all: no hooks, no filters, no helpers, and no protocol but files.
 */
const closed = {
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_ATTR_NOSYSTEM: "1",
  GIT_ALLOW_PROTOCOL: "file",
  GIT_NO_REPLACE_OBJECTS: "1",
  GIT_AUTHOR_NAME: "WorkFort",
  GIT_AUTHOR_EMAIL: "workfort@localhost",
  GIT_COMMITTER_NAME: "WorkFort",
  GIT_COMMITTER_EMAIL: "workfort@localhost",
};
const closedSettings = [
  "core.hooksPath=/dev/null",
  "core.fsmonitor=false",
  "core.attributesFile=/dev/null",
  "core.excludesFile=/dev/null",
  "core.autocrlf=false",
  "core.untrackedCache=false",
  "gc.auto=0",
];
/** of what git says, bytes */
const outputBytes = 64 * 1024 * 1024;
const saidBytes = 64 * 1024;

export class GitError extends Refusal {
  override readonly name = "GitError";
  readonly exitCode: number | null;

  constructor(message: string, exitCode: number | null) {
    super(message);
    this.exitCode = exitCode;
  }
}

export interface GitOptions {
  signal: AbortSignal;
  env?: Record<string, string>;
  /** written to its stdin */
  input?: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  okCodes?: readonly number[];
}

/** git in a directory of the host's, as its user. */
export async function gitHere(directory: string, words: readonly string[], options: GitOptions): Promise<Buffer> {
  return await run(["-C", directory, ...words], { ...options, env: { ...ownEnvironment(), ...options.env } });
}

/** git where a guest's work lies. */
export async function gitApart(directory: string, words: readonly string[], options: GitOptions): Promise<Buffer> {
  const settings = closedSettings.flatMap((setting) => ["-c", setting]);
  const env = { ...ownEnvironment(), ...closed, ...options.env };
  return await run(["-C", directory, ...settings, ...words], { ...options, env });
}

/** Without what would send git to another repository. */
function ownEnvironment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name, value]) => !name.startsWith("GIT_") && value !== undefined);
  return { ...(Object.fromEntries(kept) as Record<string, string>), GIT_TERMINAL_PROMPT: "0", LC_ALL: "C" };
}

async function run(
  words: readonly string[],
  { signal, env, input, okCodes = [0] }: GitOptions & { env: Record<string, string> },
): Promise<Buffer> {
  const child = spawn("git", words, { env, signal, stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"] });
  const output: Buffer[] = [];
  let [bytes, said] = [0, ""];
  child.stdout?.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= outputBytes) output.push(chunk);
    else child.kill("SIGKILL");
  });
  child.stderr?.on("data", (chunk: Buffer) => (said = (said + chunk.toString("utf8")).slice(-saidBytes)));
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.once("error", (error: NodeJS.ErrnoException) =>
    reject(
      error.code === "ENOENT"
        ? new UsageError("git is not installed", {
            why: ["work is carried as git repositories"],
            hint: "apt-get install git",
          })
        : error,
    ),
  );
  child.once("close", (code) => resolve(code));
  child.stdin?.on("error", () => {}); // it ends early, and says why
  if (input !== undefined && child.stdin !== null)
    void (async () => {
      for await (const chunk of input)
        if (!child.stdin?.write(chunk)) await new Promise((go) => child.stdin?.once("drain", go).once("close", go));
      child.stdin?.end();
    })().catch(() => child.kill("SIGKILL"));
  const code = await promise;
  if (bytes > outputBytes) throw new GitError(`git ${nameOf(words)} says more than ${outputBytes} bytes`, code);
  if (code === null || !okCodes.includes(code))
    throw new GitError(`git ${nameOf(words)}: ${said.trim() || `ended with ${code}`}`, code);
  return Buffer.concat(output);
}

/** the subcommand */
function nameOf(words: readonly string[]): string {
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? "";
    if (word === "-C" || word === "-c") at += 1;
    else if (!word.startsWith("-")) return word;
  }
  return "";
}

/** Top of the work tree that a directory is in; null where it is in none. */
export async function workTreeOf(directory: string, signal: AbortSignal): Promise<string | null> {
  try {
    return (await gitHere(directory, ["rev-parse", "--show-toplevel"], { signal })).toString().trim();
  } catch (error) {
    if (error instanceof GitError && error.exitCode === 128) return null;
    throw error;
  }
}
