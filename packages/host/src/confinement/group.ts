import * as z from "zod";

/** what holds a run's processes together: nothing of them is ever outside, and what is left of them can be ended */
export const Group = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("systemd"), manager: z.enum(["system", "user"]), unit: z.string() }),
  z.object({ kind: z.literal("cgroup"), directories: z.array(z.string()) }),
  z.object({ kind: z.literal("none") }),
]);
export type Group = z.infer<typeof Group>;

/** what a run may use in all, keeper and VMM together */
export interface Limits {
  memoryBytes: number;
  /** processors' time a second */
  processors: number;
  /** processes and threads */
  tasks: number;
}
