import * as z from "zod";
import type { Problem } from "./problem.ts";

/** one line of a `progress` answer */
export const Progress = z.object({
  step: z.string().describe("what is being done, in a few words"),
  fraction: z.number().min(0).max(1).optional().describe("how much of it is done, where that is known"),
});
export type Progress = z.infer<typeof Progress>;

export const progressType = "application/x-ndjson";

export type ProgressLine = { progress: Progress } | { result: unknown } | { problem: Problem };
