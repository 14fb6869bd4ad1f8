import { promises as fs, constants } from "node:fs";
import { dirname, join } from "node:path";
import { WorkfortError } from "@workfort/contract";
import { readTextIfThere } from "../files.ts";
import { runTool } from "../process/run.ts";
import { linkOf } from "./tag.ts";
import { installedHelper } from "./ways.ts";

/** What root puts on the host so that a user's daemon may have links: the helper, setuid, and the list of who may. */
export interface HelperPlaces {
  program: string;
  configuration: string;
}

export const helperPlaces: HelperPlaces = {
  program: installedHelper,
  configuration: "/etc/workfort/network-helper.conf",
};

const head = `# Who may join network namespaces of their own to this host (nexusctl network setup):
#   allow UID            one line for each user
#   links N              most links of one user, 8 where it is not said
#   pool 10.212.0.0/16   where links take their addresses from, where the usual places are taken
`;

/** Installs the helper for a user; done already, it does so again. */
export async function installHelper(source: string, uid: number, places = helperPlaces): Promise<void> {
  for (const path of [places.program, places.configuration]) await makeRootDirectory(dirname(path));
  await copySetuid(source, places.program);
  const old = await readOwn(places.configuration);
  const lines = old === null ? head : old.endsWith("\n") || old === "" ? old : `${old}\n`;
  if (!uidsIn(lines).includes(uid)) await writeOwn(places.configuration, `${lines}allow ${uid}\n`, 0o644);
  // a file system mounted nosuid is found out now
  const { stderr, exitCode } = await runTool(
    ["setpriv", "--reuid", String(uid), "--", places.program, "status", "000000"],
    {
      okCodes: [0, 1, 2, 77, 127],
      timeoutMs: 10_000,
    },
  );
  if (exitCode !== 0)
    throw new WorkfortError(
      "network_unavailable",
      `the installed helper does not serve user ${uid}: ${stderr.trim()}`,
      {
        hint: `findmnt --target ${places.program}   (its file system must not be mounted nosuid)`,
      },
    );
}

/** Takes a user's leave away, and with the last one's the helper; what was there of it. */
export async function removeHelper(uid: number, places = helperPlaces): Promise<"nothing" | "user" | "all"> {
  const old = await readOwn(places.configuration);
  const others = uidsIn(old ?? "").filter((other) => other !== uid);
  const hadHelper = (await fs.lstat(places.program).catch(() => null)) !== null;
  if (old !== null && others.length > 0) {
    const kept = old.split("\n").filter((line) => uidsIn(line)[0] !== uid);
    await writeOwn(places.configuration, kept.join("\n"), 0o644);
    return uidsIn(old).includes(uid) ? "user" : "nothing";
  }
  await refuseWhileUsed([uid]);
  for (const path of [places.program, places.configuration]) {
    await fs.rm(path, { force: true });
    await fs.rmdir(dirname(path)).catch(() => {}); // something else of ours may lie there
  }
  return hadHelper || old !== null ? "all" : "nothing";
}

/** The uids that a configuration allows. */
export function uidsIn(configuration: string): number[] {
  return configuration.split("\n").flatMap((line) => {
    const uid = /^\s*allow\s+(\d+)\s*$/.exec(line)?.[1];
    return uid === undefined ? [] : [Number(uid)];
  });
}

/** The tables of links say whose they are (native/network-helper); root's own daemon has no need of the helper. */
async function refuseWhileUsed(uids: readonly number[]): Promise<void> {
  const list = async (...words: string[]): Promise<string> =>
    (await runTool(["nft", "list", ...words], { timeoutMs: 10_000, okCodes: [0, 1] })).stdout;
  const used: string[] = [];
  for (const [, tag = ""] of (await list("tables", "inet")).matchAll(/^table inet workfort_([0-9a-f]{6})$/gm)) {
    const owner = /comment "uid (\d+) /.exec(await list("table", "inet", `workfort_${tag}`))?.[1];
    if (owner !== undefined && uids.includes(Number(owner))) used.push(linkOf(tag));
  }
  if (used.length > 0)
    throw new WorkfortError("in_use", `networks still hang on it: ${used.join(", ")}`, {
      hint: "stop the VMs, then: nexusctl network reset",
    });
}

/** A directory that nobody but root can write in, nor put another in the place of. */
async function makeRootDirectory(path: string): Promise<void> {
  if (path === "/") return;
  await makeRootDirectory(dirname(path));
  await fs.mkdir(path, { mode: 0o755 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  const found = await fs.lstat(path);
  const isSafe = found.isDirectory() && found.uid === 0 && (found.mode & 0o022) === 0;
  if (!isSafe)
    throw new WorkfortError("network_unavailable", `${path} is no directory that root alone can write in`, {
      hint: `ls -ld ${path}`,
    });
}

/** Nobody can execute it, nor change it, before it is whole. */
async function copySetuid(source: string, target: string): Promise<void> {
  const content = await fs.readFile(source).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    throw new WorkfortError("network_unavailable", `${source} is missing`, { hint: "npm run build", cause: error });
  });
  await writeOwn(target, content, 0o4755);
}

async function readOwn(path: string): Promise<string | null> {
  const found = await fs.lstat(path).catch(() => null);
  if (found === null) return null;
  if (!found.isFile() || found.uid !== 0 || (found.mode & 0o022) !== 0)
    throw new WorkfortError("network_unavailable", `${path} is no file that root alone can write`, {
      hint: `ls -l ${path}`,
    });
  return await readTextIfThere(path);
}

async function writeOwn(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  const temporary = join(dirname(path), `.${process.pid}.tmp`);
  await fs.rm(temporary, { force: true });
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
  const handle = await fs.open(temporary, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o600);
  try {
    await handle.writeFile(content);
    await handle.chown(0, 0);
    await handle.chmod(mode); // after chown, which takes the setuid bit away
    await handle.sync();
  } finally {
    await handle.close();
  }
  await fs.rename(temporary, path);
}
