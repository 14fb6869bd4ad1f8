import { runTool } from "../process/run.ts";

/** Changes a file system in a file by debugfs's commands; rejects with the first thing that it finds wrong. */
export async function changeByDebugfs(
  image: string,
  commands: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const { stderr } = await runTool(["debugfs", "-w", "-f", "-", image], {
    input: commands.map((command) => `${command}\n`).join(""),
    signal,
    env: { DEBUGFS_PAGER: "__none__" },
  });
  // its exit code is 0 whatever fails; its first line is its version
  const trouble = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("debugfs "));
  if (trouble.length > 0) throw new Error(`debugfs could not change the file system: ${trouble[0]}`);
}
