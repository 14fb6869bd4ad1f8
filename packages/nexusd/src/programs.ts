import { fileURLToPath } from "node:url";

const target = process.arch === "arm64" ? "aarch64-unknown-linux-gnu" : "x86_64-unknown-linux-gnu";

/** the native programs: built in the checkout, or installed where NEXUS_PROGRAMS says */
const directory =
  process.env["NEXUS_PROGRAMS"] ?? fileURLToPath(new URL(`../../../native/target/${target}/release`, import.meta.url));

/** the gateway, which this very Node runs: the checkout's source, or installed beside the native programs */
const gatewayScript =
  process.env["NEXUS_PROGRAMS"] === undefined
    ? fileURLToPath(new URL("../../gateway/src/main.ts", import.meta.url))
    : `${directory}/gateway.mjs`;

/** the command that runs it, with the small young generation that keeps an idle one small */
export const gatewayProgram = [process.execPath, "--max-semi-space-size=2", gatewayScript] as const;

export const programs = {
  keeper: `${directory}/keeper`,
  guestAgent: `${directory}/guest-agent`,
  networkHelper: `${directory}/network-helper`,
} as const;
