import { constants } from "node:os";
import * as z from "zod";

export const Offset = z.int().nonnegative();

/** the status line, codex/reference/keeper-protocol.md */
export const Status = z.discriminatedUnion("state", [
  z.object({
    state: z.literal("running"),
    vmmPid: z.int(),
    /** field 22 of `/proc/<pid>/stat`, clock ticks since boot */
    vmmStartTime: z.int(),
    /** ms since 1970 */
    startedAt: z.int(),
    /** bytes of console ever written */
    consoleEnd: Offset,
  }),
  z.object({
    state: z.literal("ended"),
    exitCode: z.int().nullable(),
    /** symbolic, for example `SIGKILL` */
    signal: z.int().transform(signalName).nullable(),
    /** ms since 1970 */
    startedAt: z.int(),
    /** ms since 1970 */
    endedAt: z.int(),
    /** bytes of console ever written */
    consoleEnd: Offset,
    /** bytes of stderr ever written */
    errorEnd: Offset,
  }),
]);

export type VmmStatus = z.output<typeof Status>;
export type VmmEnded = VmmStatus & { state: "ended" };

function signalName(number: number): string {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? `signal ${number}`;
}
