import * as z from "zod";
import { errorCodes, type ErrorCode } from "./errors.ts";

export const FieldIssue = z.strictObject({
  field: z.string().describe("path of the field, for example `body.memoryMiB`"),
  message: z.string().describe("what is allowed"),
});
export type FieldIssue = z.infer<typeof FieldIssue>;

/** RFC 9457 problem details, `application/problem+json` */
export const Problem = z.object({
  type: z.string().describe("`urn:workfort:error:<code>`"),
  code: z.enum(errorCodes as [ErrorCode, ...ErrorCode[]]),
  title: z.string(),
  status: z.int(),
  detail: z.string().describe("what happened, to what, and why"),
  hint: z.string().optional().describe("the next command to type, or the next thing to do"),
  fields: z.array(FieldIssue).optional(),
});
export type Problem = z.infer<typeof Problem>;
