import type { Operation, OperationInput } from "@workfort/contract";
import * as z from "zod";
import { invalid } from "./errors.ts";

/** What a caller gave, checked by the operation's row; throws `invalid_request` that names the fields. */
export function checkInput<Row extends Operation>(
  row: Row,
  given: { params?: unknown; query?: unknown; body?: unknown },
): OperationInput<Row> {
  return {
    params: check("path", row.params ?? z.strictObject({}), given.params ?? {}),
    query: check("query", row.query ?? z.strictObject({}), given.query ?? {}),
    body: row.body === undefined ? undefined : check("body", row.body, given.body),
  } as OperationInput<Row>;
}

function check(place: "path" | "query" | "body", schema: z.ZodType, value: unknown): unknown {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw invalid(place, parsed.error);
  return parsed.data;
}
