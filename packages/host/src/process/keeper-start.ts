import { spawn } from "node:child_process";
import { resolve as absolute } from "node:path";
import * as z from "zod";
import { KeeperError } from "./keeper-answer.ts";

/** for a VMM to be executed, ms; only a program on a dead disk takes that long */
const startBoundMs = 10_000;
/** of what a keeper says while it starts, characters; it says one line */
const keptCharacters = 4096;

/** what a VMM may open */
export interface Reach {
  read: readonly string[];
  write: readonly string[];
}

/** paths of what a VMM enters before it is executed; within a user namespace it holds no capability */
export interface Namespaces {
  network: string;
  /** owner of the network namespace, null where that is root's */
  user: string | null;
}

/** a file of the host at a second place, where a file has to be */
interface Mount {
  source: string;
  target: string;
  readOnly: boolean;
}

/** what a VMM that becomes another user gets before it does; for root alone */
export interface Endowment {
  user: number;
  /** in a mount namespace of its own */
  mounts: readonly Mount[];
  /** of the network namespace; null without an interface */
  tap: string | null;
}

export interface KeeperStart {
  /** path of the keeper program */
  program: string;
  socketPath: string;
  /** size of the console's ring, bytes, 4 KiB to 16 MiB */
  consoleBytes: number;
  /** working directory of the VMM, `/` if absent */
  cwd?: string;
  /** words before the keeper's own, of a program that runs it and ends with its exit code; it may stay while the keeper runs */
  launcher?: readonly string[];
  /** control groups that keeper and VMM enter */
  cgroups?: readonly string[];
  /** a FIFO that is made and read where the VMM's stderr is read */
  log?: string;
  /** the VMM stays in the keeper's own where it is absent */
  namespaces?: Namespaces;
  /** it holds no capability, whoever's name it has; not for what has to become another user */
  noCapabilities?: boolean;
  /** it stays the keeper's user, and has nothing of its own, where it is absent */
  endowment?: Endowment;
  /** all that the VMM may open; everything where it is absent */
  reach?: Reach;
  /** whole environment of keeper and VMM, this process's own if absent */
  env?: Record<string, string>;
  /** the VMM and its arguments */
  argv: readonly string[];
}

export interface KeeperStarted {
  keeperPid: number;
  vmmPid: number;
  /** field 22 of `/proc/<pid>/stat`, clock ticks since boot */
  vmmStartTime: number;
}

const Started = z.object({ keeper: z.literal(1), keeperPid: z.int(), vmmPid: z.int(), vmmStartTime: z.int() });

/** Starts a keeper in a session of its own; resolves when the VMM has been executed, else rejects with the keeper's own line. */
export async function startKeeper(start: KeeperStart): Promise<KeeperStarted> {
  const { code, output, errors } = await runUntilDetached(start);
  const parsed = Started.safeParse(parse(output));
  if (parsed.success) {
    const { keeperPid, vmmPid, vmmStartTime } = parsed.data;
    return { keeperPid, vmmPid, vmmStartTime };
  }
  const line = errors.trim();
  if (code === 0)
    throw new KeeperError("protocol", `${start.program} is no keeper of this version: it said "${output.trim()}"`);
  throw new KeeperError("unreachable", line === "" ? `the keeper ${start.program} ended with ${code}` : line);
}

/** What the keeper said before it left its standard streams, and its exit code where it has ended. */
async function runUntilDetached(
  start: KeeperStart,
): Promise<{ code: number | string; output: string; errors: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<number | string>();
  const [program = "", ...words] = [...(start.launcher ?? []), absolute(start.program), ...keeperArguments(start)];
  const child = spawn(program, words, {
    detached: true, // a session of its own
    stdio: ["ignore", "pipe", "pipe"],
    cwd: "/", // nothing that somebody may want to unmount
    ...(start.env === undefined ? {} : { env: start.env }),
  });
  let [output, errors] = ["", ""];
  const launched = start.launcher !== undefined && start.launcher.length > 0;
  child.stdout.on("data", (chunk: Buffer) => {
    output = (output + chunk.toString("utf8")).slice(0, keptCharacters);
    if (!output.includes("\n")) return;
    if (launched) child.kill("SIGKILL"); // it only waits now
    resolve(0);
  });
  child.stderr.on("data", (chunk: Buffer) => (errors = (errors + chunk.toString("utf8")).slice(0, keptCharacters)));
  child.once("error", (error) =>
    reject(
      new KeeperError("unreachable", `the keeper ${start.program} could not be run: ${error.message}`, {
        cause: error,
      }),
    ),
  );
  // a failed keeper ends, and "close" tells its code; a good one says its line, leaves its streams and lives on
  child.once("close", (code, signal) => resolve(code ?? signal ?? 0));
  const late = setTimeout(() => {
    child.kill("SIGKILL");
    reject(
      new KeeperError(
        "protocol",
        `the keeper for ${start.socketPath} has not started ${start.argv[0]} within ${startBoundMs / 1000} s and was killed`,
      ),
    );
  }, startBoundMs);
  try {
    return { code: await promise, output, errors };
  } finally {
    clearTimeout(late);
    for (const stream of [child.stdout, child.stderr]) stream.destroy();
    child.unref();
  }
}

function keeperArguments(start: KeeperStart): string[] {
  const option = (name: string, values: readonly string[]): string[] =>
    values.flatMap((value) => [name, absolute(value)]);
  return [
    "--socket",
    absolute(start.socketPath),
    "--console-bytes",
    String(start.consoleBytes),
    ...option("--cwd", start.cwd === undefined ? [] : [start.cwd]),
    ...option("--cgroup", start.cgroups ?? []),
    ...option("--log", start.log === undefined ? [] : [start.log]),
    ...option("--network-namespace", start.namespaces === undefined ? [] : [start.namespaces.network]),
    ...option("--user-namespace", start.namespaces?.user == null ? [] : [start.namespaces.user]),
    ...(start.noCapabilities === true ? ["--no-capabilities"] : []),
    ...endow(start.endowment, start.log !== undefined),
    ...option("--may-read", start.reach?.read ?? []),
    ...option("--may-write", start.reach?.write ?? []),
    "--",
    ...start.argv,
  ];
}

function endow(endowment: Endowment | undefined, hasLog: boolean): string[] {
  if (endowment === undefined) return [];
  const { user, mounts, tap } = endowment;
  return [
    ...(hasLog ? ["--log-owner", String(user)] : []),
    ...(tap === null ? [] : ["--own-tap", tap, String(user)]),
    ...mounts.flatMap(({ source, target, readOnly }) => [readOnly ? "--mount-read-only" : "--mount", source, target]),
  ];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text.split("\n")[0] ?? "");
  } catch {
    return null;
  }
}
