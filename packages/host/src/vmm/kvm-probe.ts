import { spawn } from "node:child_process";
import { constants, promises as fs } from "node:fs";
import type { Kernel } from "@workfort/core";
import * as z from "zod";
import { readTextIfThere, writeAtomically } from "../files.ts";
import { plainWords } from "./plain-words.ts";

/**
 * Whether KVM is usable. A `/dev/kvm` that opens, and even one that creates a VM, may still never boot a kernel
 * (seen on nested hosts), so the probe boots one: the guest agent says a word on the console and ends. The answer
 * is kept for as long as the host is up and VMM and kernel are the same.
 */
/** a boot takes well under a second on KVM, ten where KVM itself is emulated and busy, ms */
const bootBoundMs = 30_000;
const probeWord = "workfort-probe: ok";

/** what the kernel is told beside the VMM's own arguments; the agent then says the word and ends */
export const probeArgument = "workfort.probe";
export const probeMemoryMiB = 128;

export interface KvmAnswer {
  usable: boolean;
  reason: string;
}

const Cached = z.object({ key: z.string(), usable: z.boolean(), reason: z.string() });

export async function probeKvm(about: {
  /** for messages */
  title: string;
  binary: string;
  version: string;
  kernel: Kernel | null;
  hostBootId: string;
  cacheFile: string;
  refresh: boolean;
  /** arguments that boot the kernel once, with its console on stdout */
  argumentsFor(kernel: Kernel): Promise<readonly string[]>;
}): Promise<KvmAnswer> {
  if (about.kernel === null) return { usable: false, reason: "KVM was not tried, since there is no guest kernel yet" };
  const key = [about.hostBootId, about.binary, about.version, about.kernel.initramfs].join(" ");
  const cached = about.refresh ? null : await readCache(about.cacheFile);
  if (cached?.key === key) return { usable: cached.usable, reason: cached.reason };
  const answer = await bootOnce(about.title, about.binary, await about.argumentsFor(about.kernel));
  const device = answer.usable ? null : await openable();
  if (device !== null) return { usable: false, reason: device }; // not kept: the user may be let in at any time
  await writeAtomically(about.cacheFile, JSON.stringify({ key, ...answer }));
  return answer;
}

/** Null if `/dev/kvm` opens, else why not. */
async function openable(): Promise<string | null> {
  try {
    await (await fs.open("/dev/kvm", constants.O_RDWR)).close();
    return null;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return "there is no /dev/kvm";
    if (code === "EACCES" || code === "EPERM")
      return "/dev/kvm may not be opened by this user (join the group kvm: sudo usermod -aG kvm $USER)";
    return `/dev/kvm cannot be opened (${code})`;
  }
}

async function readCache(path: string): Promise<z.infer<typeof Cached> | null> {
  const text = await readTextIfThere(path).catch(() => null);
  if (text === null) return null;
  try {
    return Cached.parse(JSON.parse(text));
  } catch {
    return null; // a damaged cache is no cache
  }
}

async function bootOnce(title: string, binary: string, argv: readonly string[]): Promise<KvmAnswer> {
  const child = spawn(binary, argv, { stdio: ["ignore", "pipe", "pipe"] });
  const { promise, resolve } = Promise.withResolvers<KvmAnswer>();
  const timer = setTimeout(
    () =>
      resolve({
        usable: false,
        reason: `/dev/kvm opens, but no kernel boots on it within ${bootBoundMs / 1000} s`,
      }),
    bootBoundMs,
  );
  let output = "";
  const collect = (chunk: Buffer): void => {
    output = (output + chunk.toString("latin1")).slice(-16_384);
    if (output.includes(probeWord)) resolve({ usable: true, reason: "KVM booted a kernel" });
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  child.once("error", (error) => resolve({ usable: false, reason: `${title} could not be run: ${error.message}` }));
  child.once("close", (code, signal) => {
    const said = signal === null ? plainWords(output.trim().split("\n").at(-1) ?? "").slice(0, 100) : "";
    resolve({
      usable: false,
      reason: `/dev/kvm opens, but no kernel boots on it (${title} ended with ${signal ?? `code ${code}`}${said === "" ? "" : `: ${said}`})`,
    });
  });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    child.kill("SIGKILL");
  }
}
