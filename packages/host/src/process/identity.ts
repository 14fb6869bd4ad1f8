import { promises as fs } from "node:fs";

/** When a process began, clock ticks since boot (field 22 of `/proc/<pid>/stat`); null where there is none. */
export async function readStartTime(pid: number): Promise<number | null> {
  let stat: string;
  try {
    stat = await fs.readFile(`/proc/${pid}/stat`, "latin1"); // a name may be any bytes
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return null;
    throw error;
  }
  return parseStartTime(stat);
}

/** Whether the process that began then still has this pid: a pid alone may be another's by now. A zombie counts. */
export async function sameProcess(pid: number, startTime: number): Promise<boolean> {
  return (await readStartTime(pid)) === startTime;
}

/** Field 22 of a stat line, proc_pid_stat(5); the name in field 2 may itself hold `) `. */
export function parseStartTime(stat: string): number | null {
  const fields = stat
    .slice(stat.lastIndexOf(")") + 1)
    .trim()
    .split(" "); // field 3 on
  const startTime = fields[22 - 3];
  return startTime !== undefined && /^\d+$/.test(startTime) ? Number(startTime) : null;
}
