import { styleText } from "node:util";
import type { Check } from "@workfort/contract";
import type { Locations } from "@workfort/contract/locations";
import type { Config } from "../config/schema.ts";
import { examine } from "../doctor/checks.ts";

/** `nexusd doctor`: exit code 1 if anything failed. */
export async function doctor(config: Config, locations: Locations, options: { json: boolean }): Promise<number> {
  const checks = await examine(config, locations);
  if (options.json) process.stdout.write(`${JSON.stringify({ checks }, null, 2)}\n`);
  else for (const check of checks) process.stdout.write(present(check));
  return checks.some((check) => check.state === "failed") ? 1 : 0;
}

const marks = { ok: ["green", "ok     "], warning: ["yellow", "warning"], failed: ["red", "failed "] } as const;

function present(check: Check): string {
  const [colour, word] = marks[check.state];
  const mark = styleText(colour, word, { stream: process.stdout });
  return `${mark}  ${check.name.padEnd(12)}  ${check.detail}\n${check.fix === null ? "" : `${" ".repeat(23)}fix: ${check.fix}\n`}`;
}
