import { WorkfortError, type FieldIssue } from "@workfort/contract";
import type * as z from "zod";

/** Any failure as one of the catalogue's; what is none of them is a defect, whose details go to the log only. */
export function toWorkfortError(error: unknown): WorkfortError {
  if (error instanceof WorkfortError) return error;
  return new WorkfortError("internal", "the daemon has a defect; its log says more", {
    cause: error,
    hint: "report it with the daemon's log",
  });
}

export function invalid(place: "path" | "query" | "body", error: z.ZodError): WorkfortError {
  const fields = error.issues.flatMap((issue): FieldIssue[] => {
    const path = [place, ...issue.path.map(String)];
    if (issue.code === "unrecognized_keys")
      return issue.keys.map((key) => ({ field: [...path, key].join("."), message: "there is no such field" }));
    return [{ field: path.join("."), message: issue.message }];
  });
  const shown = fields.slice(0, 10);
  return new WorkfortError("invalid_request", shown.map(({ field, message }) => `${field}: ${message}`).join("; "), {
    fields: shown,
  });
}
