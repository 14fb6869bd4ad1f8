import assert from "node:assert/strict";
import { test } from "node:test";
import { readDenials, WorkfortError, type DenialOptions } from "@workfort/client";
import { sendJson, TestServer, type Answer } from "../helpers/server.ts";

/** A daemon that holds denials 1 to 3, and tells no more than `most` on one connection. */
const tells = (most: number, ends: boolean): Answer => {
  return async (request, response) => {
    const after = Number(new URL(request.url ?? "", "http://daemon").searchParams.get("after") ?? 0);
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    const due = [1, 2, 3].filter((number) => number > after).slice(0, most);
    for (const number of due)
      await new Promise((sent) => response.write(`${JSON.stringify({ number, name: `${number}.test` })}\n`, sent));
    if (ends) response.end();
    else request.socket.destroy();
  };
};

async function numbersOf(answer: Answer, options: DenialOptions, most = 3): Promise<[number[], string[]]> {
  await using server = await TestServer.start(answer);
  const numbers: number[] = [];
  for await (const { number } of readDenials(server.client, { retryDelaysMs: [0, 0], ...options }))
    if (numbers.push(number) === most) break;
  return [numbers, server.requests.map((request) => request.replace("GET /v1/network/log?", ""))];
}

test("who only reads is told what there is, once", async () => {
  assert.deepEqual(await numbersOf(tells(2, true), { vm: "dev" }), [[1, 2], ["vm=dev&follow=false"]]);
  await assert.rejects(numbersOf(tells(2, false), {}), /went away|lost|broke/);
});

test("who follows is told the rest behind the last one, whether the daemon ended in order or not", async () => {
  for (const ends of [true, false])
    assert.deepEqual(await numbersOf(tells(1, ends), { follow: true, after: 0 }), [
      [1, 2, 3],
      ["after=0&follow=true", "after=1&follow=true", "after=2&follow=true"],
    ]);
});

test("a refusal is final, and so is a daemon that does not come back", async () => {
  const refused: Answer = (_, response) =>
    sendJson(response, new WorkfortError("not_found", "there is no VM").toProblem(), 404);
  await assert.rejects(numbersOf(refused, { follow: true }), (error) => error instanceof WorkfortError);
  await using server = await TestServer.start(tells(1, false));
  const seen: number[] = [];
  await assert.rejects(
    async () => {
      for await (const { number } of readDenials(server.client, { follow: true, retryDelaysMs: [0, 0] })) {
        seen.push(number);
        if (number === 1) await server.stop();
      }
    },
    { name: "DaemonUnreachable" },
  );
  assert.deepEqual(seen, [1]);
});
