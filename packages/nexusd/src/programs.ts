import { fileURLToPath } from "node:url";

const target = process.arch === "arm64" ? "aarch64-unknown-linux-gnu" : "x86_64-unknown-linux-gnu";

/** the native programs: built in the checkout, or installed where NEXUS_PROGRAMS says */
const directory =
  process.env["NEXUS_PROGRAMS"] ?? fileURLToPath(new URL(`../../../native/target/${target}/release`, import.meta.url));

/** the gateway, which this very Node runs: the checkout's source, or installed beside the native programs */
export const gatewayScript =
  process.env["NEXUS_PROGRAMS"] === undefined
    ? fileURLToPath(new URL("../../gateway/src/main.ts", import.meta.url))
    : `${directory}/gateway.mjs`;

export const programs = {
  keeper: `${directory}/keeper`,
  guestAgent: `${directory}/guest-agent`,
  networkHelper: `${directory}/network-helper`,
} as const;
