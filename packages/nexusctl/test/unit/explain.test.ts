import assert from "node:assert/strict";
import { test } from "node:test";
import { AnswerError, DaemonUnreachable } from "@workfort/client";
import { WorkfortError } from "@workfort/contract/errors";
import { explain, own } from "../../src/explain.ts";
import { Failure, UsageError } from "../../src/failures.ts";

const unreachable = (error: DaemonUnreachable) => own("daemon_unreachable", 3, error.address, [], undefined);

function said(error: unknown): [headline: string, why: readonly string[], next: string | undefined, exitCode: number] {
  const { headline, why, next, exitCode } = explain(error, unreachable);
  return [headline, why, next, exitCode];
}

test("what was being done and why it failed are one sentence where they are short", () => {
  const error = new WorkfortError("wrong_state", 'VM "dev" is already running', { hint: "nexusctl vm stop dev" });
  assert.deepEqual(said(new Failure('start VM "dev"', error)), [
    'cannot start VM "dev": it is already running',
    [],
    "nexusctl vm stop dev",
    5,
  ]);
});

test("what does not exist is not named twice", () => {
  const error = new WorkfortError("not_found", 'there is no VM "dev"', { hint: "nexusctl vm list" });
  assert.deepEqual(said(new Failure('stop VM "dev"', error)), [
    'cannot stop VM "dev": there is no such VM',
    [],
    "nexusctl vm list",
    4,
  ]);
  const image = new WorkfortError("not_found", 'there is no image "base"');
  assert.equal(said(new Failure('create VM "dev"', image))[0], 'cannot create VM "dev": there is no image "base"');
});

test("a long reason gets lines of its own", () => {
  const why = `VM "dev" cannot start: ${"it needs more memory than there is, ".repeat(4)}`;
  assert.deepEqual(said(new Failure('start VM "dev"', new WorkfortError("insufficient_memory", why))), [
    'cannot start VM "dev"',
    [why.replace('VM "dev" cannot start: ', "")],
    undefined,
    6,
  ]);
});

test("wrong fields are named as the command line calls them", () => {
  const error = new WorkfortError("invalid_request", "body.memoryMiB: no", {
    fields: [
      { field: "body.memoryMiB", message: "at least 64" },
      { field: "body.x", message: "no" },
    ],
  });
  assert.deepEqual(said(new Failure('create VM "a"', error)), [
    'cannot create VM "a"',
    ["--memory: at least 64", "body.x: no"],
    undefined,
    2,
  ]);
});

test("every other failure has its words and its code, and none a trace", () => {
  assert.deepEqual(said(new WorkfortError("storage_unavailable", "no store")), ["no store", [], undefined, 6]);
  assert.equal(said(new DaemonUnreachable("/s", "missing"))[3], 3);
  assert.equal(said(new Failure("x", new DaemonUnreachable("/s", "missing")))[3], 3);
  assert.deepEqual(said(new UsageError("wrong", { why: ["so"], hint: "x" })), ["wrong", ["so"], "x", 2]);
  assert.equal(said(new AnswerError("nonsense"))[3], 1);
  const [headline, why, , code] = said(new Failure('list "x"', new TypeError("x is not a function\n    at y")));
  assert.deepEqual([headline, why, code], ['cannot list "x"', ["nexusctl has a defect: x is not a function"], 1]);
  assert.equal(said("just text")[3], 1);
  const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { syscall: "write" });
  assert.deepEqual(said(new Failure("write the output", full)), [
    "cannot write the output: ENOSPC: no space left on device, write",
    [],
    undefined,
    1,
  ]);
});

test("programs get the daemon's problem unchanged", () => {
  const error = new WorkfortError("in_use", "busy", { hint: "wait" });
  assert.deepEqual(explain(new Failure("x", error), unreachable).problem, error.toProblem());
});
