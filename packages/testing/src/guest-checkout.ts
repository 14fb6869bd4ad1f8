import { spawn } from "node:child_process";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { runProcess } from "@workfort/client";
import { runTool } from "@workfort/host/process/run.ts";
import type { TestDaemon } from "./daemon.ts";

/** This checkout inside a VM, to run its tests there. */
/** of the dependencies, what only checks and bundles use; together most of their size */
const unneeded = /^(@?rolldown|@?oxlint.*|@?oxfmt|@?oxc.*|@?typescript|@typescript)(\/|$)/;
const release = "native/target/x86_64-unknown-linux-gnu/release";

/** Copies the checkout, and what its Node is linked with into `lib` beside it; a minimal Debian has not all of it. */
export async function copyCheckout(directory: string): Promise<void> {
  const checkout = join(directory, "checkout");
  await fs.mkdir(join(checkout, release), { recursive: true });
  for (const name of ["packages", "test", "bench", "bin", "tools", "package.json"]) await copyFile(name, checkout);
  for (const name of ["keeper", "guest-agent"]) await copyFile(join(release, name), join(checkout, release));
  await fs.mkdir(join(checkout, release, "examples"));
  await copyFile(join(release, "examples/vsock_request"), join(checkout, release, "examples"));
  await fs.mkdir(join(checkout, "node_modules"));
  for (const name of await fs.readdir("node_modules"))
    if (!unneeded.test(name)) await copyFile(join("node_modules", name), join(checkout, "node_modules"));
  await fs.mkdir(join(directory, "lib"));
  await copyNodeLibraries(join(directory, "lib"));
}

/** What Node is linked with and a minimal Debian does not have. */
export async function copyNodeLibraries(directory: string): Promise<void> {
  const { stdout } = await runTool(["ldd", process.execPath]);
  for (const [, path = ""] of stdout.matchAll(/=> (\/\S+\/lib(?:atomic|stdc\+\+|gcc_s)\S+)/g))
    await runTool(["cp", "--dereference", path, directory]);
}

export async function copyFile(from: string, to: string): Promise<void> {
  await runTool(["cp", "--archive", "--reflink=auto", "--sparse=always", from, to]);
}

/** Sends a directory into a VM, to its root. */
export async function sendTree(daemon: TestDaemon, vm: string, directory: string): Promise<void> {
  const tar = spawn("tar", ["--create", "--sparse", "--directory", directory, "."], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const argv = ["tar", "--extract", "--sparse", "--no-same-owner", "--directory", "/"];
  const { exitCode } = await runProcess(daemon.client, vm, { argv }, { stdin: tar.stdout });
  if (exitCode !== 0) throw new Error(`${directory} could not be sent into VM ${vm}`);
}
