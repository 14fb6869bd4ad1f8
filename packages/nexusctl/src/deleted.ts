import type { Cli } from "./cli.ts";
import type { OutputFlags } from "./command.ts";

/** `VM "dev"`, `VMs "a", "b"` */
export function quoted(kind: string, names: readonly string[]): string {
  return `${kind}${names.length === 1 ? "" : "s"} ${names.map((name) => `"${name}"`).join(", ")}`;
}

/** A deletion has no result for --json to print. */
export function showDeleted(cli: Cli, { json, quiet }: OutputFlags, name: string): void {
  if (!json) cli.out.write(quiet ? `${name}\n` : `${name} deleted\n`);
}
