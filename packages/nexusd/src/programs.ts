import { fileURLToPath } from "node:url";

/** the native programs: built in the checkout, or installed where NEXUS_PROGRAMS says */
const directory = process.env["NEXUS_PROGRAMS"] ?? fileURLToPath(new URL("../../../native/target/release", import.meta.url));

export const programs = {
  keeper: `${directory}/keeper`,
  guestAgent: `${directory}/guest-agent`,
} as const;
