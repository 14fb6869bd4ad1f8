import assert from "node:assert/strict";
import { test } from "node:test";
import type { Progress } from "@workfort/contract";
import { AnswerError, WorkfortError } from "@workfort/client";
import { sendJson, TestServer, type Answer } from "../helpers/server.ts";

const input = { params: { vm: "dev" }, body: {} };

async function progressOf(answer: Answer): Promise<{ steps: Progress[]; result: unknown }> {
  await using server = await TestServer.start(answer);
  const steps: Progress[] = [];
  const result = await server.client.progress("vm.start", input, (step) => steps.push(step));
  return { steps, result };
}

/** Sends lines in the pieces given, each a chunk of its own. */
function lines(...pieces: readonly (string | Buffer)[]): Answer {
  return async (request, response) => {
    assert.equal(request.headers.accept, "application/x-ndjson");
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    for (const piece of pieces) await new Promise((sent) => response.write(piece, sent));
    response.end();
  };
}

test("steps are told as they come, and the result is given", async () => {
  const { steps, result } = await progressOf(
    lines('{"progress":{"step":"spawn"}}\n{"progress":{"step":"kernel","fraction":0.5}}\n', '{"result":{"id":1}}\n'),
  );
  assert.deepEqual(steps, [{ step: "spawn" }, { step: "kernel", fraction: 0.5 }]);
  assert.deepEqual(result, { id: 1 });
});

test("lines may be cut anywhere, also inside a character, and the last may lack its newline", async () => {
  const whole = Buffer.from('{"progress":{"step":"für"}}\n{"result":"ü"}');
  const { steps, result } = await progressOf(lines(...Array.from(whole, (_, at) => whole.subarray(at, at + 1))));
  assert.deepEqual(steps, [{ step: "für" }]);
  assert.equal(result, "ü");
});

test("a problem line is the error", async () => {
  const problem = new WorkfortError("timeout", "its agent has not answered").toProblem();
  await assert.rejects(progressOf(lines('{"progress":{"step":"kernel"}}\n', `${JSON.stringify({ problem })}\n`)), {
    name: "WorkfortError",
    code: "timeout",
  });
});

test("a daemon that answers without lines is understood as well", async () => {
  assert.deepEqual(await progressOf((_, response) => sendJson(response, { id: 2 })), { steps: [], result: { id: 2 } });
});

test("half a line at the end, no result, or nonsense is an AnswerError", async () => {
  await assert.rejects(progressOf(lines('{"progress":{"step":"kernel"}}\n', '{"resu')), AnswerError);
  await assert.rejects(progressOf(lines('{"progress":{"step":"kernel"}}\n')), /ended without a result/);
  for (const line of ["5", "null", "[]", "{}"])
    await assert.rejects(progressOf(lines(`${line}\n`)), /neither progress/);
});

test("a connection cut between lines is lost", async () => {
  await assert.rejects(
    progressOf((_, response) => {
      response.writeHead(200, { "content-type": "application/x-ndjson" });
      response.write('{"progress":{"step":"kernel"}}\n', () => response.destroy());
    }),
    { name: "DaemonUnreachable", reason: "lost" },
  );
});
