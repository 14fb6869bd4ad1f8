import { promises as fs } from "node:fs";
import { dirname, join } from "node:path";
import { runTool } from "@workfort/host/process/run.ts";
import { node } from "../environment.ts";
import { copyFile, copyNodeLibraries } from "../guest-checkout.ts";

/** Puts the Node that runs the tests, and this machine's npm, into a directory, as `/usr/local` of a guest. */
export async function copyNodeAndNpm(local: string): Promise<void> {
  for (const name of ["bin", "lib/npm"]) await fs.mkdir(join(local, name), { recursive: true });
  await copyFile(node, join(local, "bin/node"));
  await copyNodeLibraries(join(local, "lib"));
  const { stdout } = await runTool(["sh", "-c", 'readlink -f "$(command -v npm)"']);
  const npm = dirname(dirname(stdout.trim()));
  await copyFile(`${npm}/.`, join(local, "lib/npm"));
  await fs.symlink("../lib/npm/bin/npm-cli.js", join(local, "bin/npm"));
}
