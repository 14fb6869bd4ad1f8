import { readFileSync } from "node:fs";

/** The version of this program. */
export function ownVersion(): string {
  // one folder up from the sources and from the bundle alike
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
