import * as z from "zod";
import { runTool } from "../../process/run.ts";
import { plainWords } from "../plain-words.ts";

/** 1.14 brought free page reporting and the serial settings; the API is stable within a major version. */
const oldest = [1, 14, 0] as const;
const beyond = [2, 0, 0] as const;

const consoleLimit = [1, 16, 0] as const;

/** versions that start VMs and then fail them, and why */
const broken: Record<string, string> = {
  "1.16.0": "after a pause no new connection reaches its guest (firecracker issue 6100)",
  "1.16.1": "after a pause no new connection reaches its guest (firecracker issue 6100)",
};

const Answer = z.object({ firecracker_version: z.string().regex(/^\d[\w.+-]{1,40}$/) });

/** The version a binary states, for example `1.15.1`; rejects where it does not run or is no Firecracker. */
export async function firecrackerVersion(binary: string): Promise<string> {
  const { stdout } = await runTool([binary, "--version"], { timeoutMs: 10_000 });
  const version = /^Firecracker v(\d+\.\d+\.\d+\S*)/m.exec(stdout)?.[1];
  if (version === undefined) throw new Error(`${binary} --version says "${plainWords(stdout)}", which has no version`);
  return version;
}

/** The version in its answer to `GET /version`. */
export function versionIn(answer: unknown): string {
  const parsed = Answer.safeParse(answer);
  if (!parsed.success) throw new Error("GET /version: its answer has no version");
  return parsed.data.firecracker_version;
}

/** Null where the version can be used, else why not. */
export function refuseVersion(version: string): string | null {
  const parts = numbersOf(version);
  if (isBefore(parts, oldest) || !isBefore(parts, beyond))
    return `version ${version} is not supported; ${oldest.join(".")} and later 1.x are`;
  const trouble = broken[version];
  return trouble === undefined ? null : `version ${version} is not used: ${trouble}; 1.15.1 is good`;
}

/** Whether `PUT /serial` takes a rate limiter. */
export function hasConsoleLimit(version: string): boolean {
  return !isBefore(numbersOf(version), consoleLimit);
}

function numbersOf(version: string): number[] {
  return (/^(\d+)\.(\d+)\.(\d+)/.exec(version) ?? []).slice(1).map(Number);
}

function isBefore(version: readonly number[], other: readonly number[]): boolean {
  for (const [index, part] of other.entries()) {
    const own = version[index] ?? 0;
    if (own !== part) return own < part;
  }
  return false;
}
