import { createHash } from "node:crypto";

/** 6 hexadecimal digits that tell the things of one workplace on the host from those of another. */
export function tagOf(stateDirectory: string): string {
  return createHash("sha256").update(stateDirectory).digest("hex").slice(0, 6);
}

/** The host's end of a workplace's veth pair. */
export function linkOf(tag: string): string {
  return `nx${tag}`;
}
