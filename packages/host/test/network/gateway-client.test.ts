import assert from "node:assert/strict";
import { once } from "node:events";
import { promises as fs } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { GatewayClient } from "@workfort/host/network/gateway-client.ts";

/** The wire between nexusd and the gateway; the gateway itself is in packages/gateway/test. */

async function withServer(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  use: (client: GatewayClient) => Promise<void>,
): Promise<void> {
  const directory = await fs.mkdtemp(join(tmpdir(), "wf"));
  const server = createServer(answer).listen(join(directory, "gateway.sock"));
  try {
    await once(server, "listening");
    await use(new GatewayClient(join(directory, "gateway.sock")));
  } finally {
    server.closeAllConnections();
    server.close();
    await fs.rm(directory, { recursive: true });
  }
}

test("every question has a connection of its own, which the gateway cannot close under the next one", async () => {
  const seen = new Set<Socket>();
  await withServer(
    (request, response) => {
      assert.ok(!seen.has(request.socket));
      seen.add(request.socket);
      response.end("{}");
    },
    async (client) => {
      for (let question = 1; question <= 3; question += 1) {
        await client.deleteVm("one");
        assert.equal(seen.size, question);
      }
    },
  );
});

test("however many follow the denials, a change gets through", async () => {
  await withServer(
    (request, response) => {
      if (request.method === "GET") response.flushHeaders();
      else response.end("{}");
    },
    async (client) => {
      const leaving = new AbortController();
      const query = { after: 0, vmId: null, follow: true };
      const followers = Array.from({ length: 20 }, async () => {
        for await (const denial of client.denials(query, leaving.signal)) assert.fail(`${denial.kind} was denied`);
      });
      await client.deleteVm("one");
      leaving.abort();
      await Promise.all(followers);
    },
  );
});
