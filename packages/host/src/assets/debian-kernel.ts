import { createHash } from "node:crypto";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { runTool } from "../process/run.ts";
import { extractVmlinux } from "./bzimage.ts";
import { selectModules } from "./modules.ts";

/**
 * Debian's cloud kernel from the machine's own package sources, with their chain of signatures. It is unpacked, not
 * installed, so no privilege is needed.
 */
const metaPackage = process.arch === "arm64" ? "linux-image-cloud-arm64" : "linux-image-cloud-amd64";
const downloadBoundMs = 600_000;

export interface FetchOptions {
  signal?: AbortSignal | undefined;
  onProgress: (text: string) => void;
}

/** The kernel package the machine's sources offer now; refuses where there is none. */
async function findKernelPackage(signal?: AbortSignal): Promise<{ name: string; version: string }> {
  const depends = await runTool(["apt-cache", "depends", metaPackage], { signal, timeoutMs: 60_000 }).catch(
    (error: unknown) => {
      throw cannot("apt-cache does not answer", error);
    },
  );
  const name = /Depends: (linux-image-\d\S+)/.exec(depends.stdout)?.[1];
  if (name === undefined) throw cannot(`the package sources have no ${metaPackage}`);
  const shown = await runTool(["apt-cache", "show", "--no-all-versions", name], { signal, timeoutMs: 60_000 });
  return { name, version: /^Version: (\S+)/m.exec(shown.stdout)?.[1] ?? "unknown" };
}

/** Fetches the kernel into the new directory `target`; `version` is its release, for example `6.1.0-56-cloud-amd64`. */
export async function fetchDebianKernel(target: string, options: FetchOptions): Promise<{ version: string }> {
  const { signal, onProgress } = options;
  const found = await findKernelPackage(signal);
  const work = `${target}.${process.pid}.tmp`;
  await fs.rm(work, { recursive: true, force: true });
  await fs.mkdir(join(work, "unpacked"), { recursive: true });
  try {
    onProgress(`downloading ${found.name} ${found.version}`);
    await runTool(["apt-get", "download", "-qq", found.name], { cwd: work, signal, timeoutMs: downloadBoundMs });
    const archive = (await fs.readdir(work)).find((name) => name.endsWith(".deb"));
    if (archive === undefined) throw cannot(`apt-get downloaded no ${found.name}`);
    onProgress("unpacking the kernel");
    await runTool(["dpkg-deb", "--extract", join(work, archive), join(work, "unpacked")], {
      signal,
      timeoutMs: downloadBoundMs,
    });
    const { version } = await assemble(join(work, "unpacked"), join(work, "kernel"), found);
    await fs.rm(target, { recursive: true, force: true });
    await fs.rename(join(work, "kernel"), target);
    return { version };
  } finally {
    await fs.rm(work, { recursive: true, force: true });
  }
}

async function assemble(
  unpacked: string,
  directory: string,
  from: { name: string; version: string },
): Promise<{ version: string }> {
  const image = (await fs.readdir(join(unpacked, "boot"))).find((name) => name.startsWith("vmlinuz-"));
  if (image === undefined) throw cannot(`${from.name} holds no kernel`);
  const version = image.slice("vmlinuz-".length);
  const moduleRoot = (await isDirectory(join(unpacked, "lib/modules", version)))
    ? join(unpacked, "lib/modules", version)
    : join(unpacked, "usr/lib/modules", version);
  await fs.mkdir(join(directory, "modules"), { recursive: true });
  const vmlinux = await extractVmlinux(await fs.readFile(join(unpacked, "boot", image)));
  await fs.writeFile(join(directory, "vmlinux"), vmlinux);
  await fs.copyFile(join(unpacked, "boot", `config-${version}`), join(directory, "config"));
  const modules = await selectModules(moduleRoot);
  for (const [index, module] of modules.entries()) {
    await fs.copyFile(module.path, join(directory, "modules", `${String(index).padStart(2, "0")}-${module.name}.ko`));
  }
  const manifest = {
    version,
    source: "debian",
    package: from.name,
    packageVersion: from.version,
    vmlinuxSha256: createHash("sha256").update(vmlinux).digest("hex"),
    modules: modules.map((module) => module.name),
  };
  await fs.writeFile(join(directory, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  return { version };
}

async function isDirectory(path: string): Promise<boolean> {
  return await fs.stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

function cannot(why: string, cause?: unknown): Error {
  return new Error(
    `no kernel could be taken from this machine's package sources: ${why}. ` +
      "Put one into the data directory by hand: kernels/<version>/vmlinux (uncompressed ELF) and kernels/<version>/modules/NN-<name>.ko",
    cause === undefined ? undefined : { cause },
  );
}
