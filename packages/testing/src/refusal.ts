import assert from "node:assert/strict";
import { WorkfortError } from "@workfort/contract";

/** What a call was refused with; fails where it was not. */
export async function refusal(call: Promise<unknown>): Promise<WorkfortError> {
  const error = await call.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof WorkfortError, `it should have been refused: ${String(error)}`);
  return error;
}
