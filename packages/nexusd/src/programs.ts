import { fileURLToPath } from "node:url";

const target = process.arch === "arm64" ? "aarch64-unknown-linux-gnu" : "x86_64-unknown-linux-gnu";

/** the native programs: built in the checkout, or installed where NEXUS_PROGRAMS says */
const directory =
  process.env["NEXUS_PROGRAMS"] ?? fileURLToPath(new URL(`../../../native/target/${target}/release`, import.meta.url));

export const programs = {
  keeper: `${directory}/keeper`,
  guestAgent: `${directory}/guest-agent`,
  networkHelper: `${directory}/network-helper`,
} as const;
