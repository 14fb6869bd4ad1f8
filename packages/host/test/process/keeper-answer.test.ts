import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Keeper } from "../../src/process/keeper.ts";
import { directory } from "./keeper-program.ts";

/** A keeper that is none: it answers whatever is asked in its own way. */
async function pretend(t: TestContext, answer: (socket: Socket) => void): Promise<Keeper> {
  const path = join(await directory(t), "k");
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("data", () => answer(socket));
  });
  server.listen(path);
  await once(server, "listening");
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return new Keeper(path);
}

const failure = (message: RegExp) => ({ name: "KeeperError", code: "protocol", message });
const running = '{"state":"running","vmmPid":1,"vmmStartTime":2,"startedAt":3,"consoleEnd":0}\n';

test("is not misled by what is no answer", async (t) => {
  for (const nonsense of ["hello\n", "[]\n", "null\n", "7\n", '{"state":"asleep"}\n', '{"state":"running"}\n']) {
    const keeper = await pretend(t, (socket) => void socket.end(nonsense));
    await assert.rejects(keeper.status(), failure(/answered something unknown/), nonsense);
  }
});

test("tells a refusal that it does not know as it is", async (t) => {
  const keeper = await pretend(t, (socket) => void socket.end('{"error":"no such request"}\n'));
  await assert.rejects(keeper.status(), failure(/refused: no such request/));
});

test("takes an answer that comes byte by byte", async (t) => {
  const keeper = await pretend(t, async (socket) => {
    socket.setNoDelay(true);
    for (const byte of '{"start":2,"offset":3,"length":4}\nabcd') {
      socket.write(byte);
      await new Promise(setImmediate);
    }
  });
  assert.deepEqual(await keeper.console(0), { start: 2, offset: 3, bytes: Buffer.from("abcd") });
});

test("bounds what it reads", async (t) => {
  const endless = await pretend(t, (socket) => void socket.write("x".repeat(100_000)));
  await assert.rejects(endless.status(), failure(/line that is too long/));
  const huge = await pretend(t, (socket) => void socket.write('{"start":0,"offset":0,"length":99999999}\n'));
  await assert.rejects(huge.console(0), failure(/answered something unknown/));
});

test("says that an answer was cut off", async (t) => {
  const atOnce = await pretend(t, (socket) => void socket.end());
  await assert.rejects(atOnce.status(), failure(/before it had answered: it went away, or has too many callers/));
  await assert.rejects(atOnce.waitForEnd(), failure(/before it had answered/));
  const halfway = await pretend(t, (socket) => void socket.end('{"start":0,"offset":0,"length":10}\nabc'));
  await assert.rejects(
    halfway.console(0),
    failure(/before it had answered: it went away, or the bytes were read too slowly/),
  );
  const noEnd = await pretend(t, (socket) => void socket.end(running + running));
  await assert.rejects(noEnd.waitForEnd(), failure(/an end that was none/));
});

test("does not wait for ever for an answer", async (t) => {
  const silent = await pretend(t, () => {});
  await assert.rejects(silent.status(), failure(/has not answered "status" within 2000 ms/));
});
