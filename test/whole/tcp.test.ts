import assert from "node:assert/strict";
import { once } from "node:events";
import { promises as fs } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { operationNames, operations } from "@workfort/contract";
import { eventually, makeDaemon, withDaemon, type TestDaemon } from "@workfort/testing";
import { ask, problemOf, RawConnection } from "./raw-http.ts";

/** Who may come in: by the TCP port with its guard, and by the Unix socket with its mode. */

const anyPort = "api:\n  listen: 127.0.0.1:0\n";
const tokenFile = (daemon: TestDaemon): string => join(daemon.locations.stateDirectory, "token");
const readToken = async (daemon: TestDaemon): Promise<string> => (await fs.readFile(tokenFile(daemon), "utf8")).trim();

async function portOf(daemon: TestDaemon): Promise<number> {
  const { tcp } = await daemon.client.call("system.status");
  return Number(/^127\.0\.0\.1:(\d+)$/.exec(tcp ?? "")?.[1]);
}

test("the TCP port is for who has the token, and for no web page", async (context) => {
  await withDaemon({ config: anyPort }, async (daemon) => {
    const port = await portOf(daemon);
    const door = { host: "127.0.0.1", port };
    const token = await readToken(daemon);
    const bearer = { authorization: `Bearer ${token}` };
    const codeOf = async (headers: Record<string, string>, path = "/v1/vms"): Promise<string | number> => {
      const answer = await ask(door, { path, headers });
      return answer.status === 200 ? 200 : problemOf(answer).code;
    };
    const step = async (name: string, work: () => Promise<void>): Promise<void> => {
      await context.test(name, work);
    };

    await step("the token, and nothing like it", async () => {
      assert.match(token, /^[0-9a-f]{64}$/);
      assert.equal(await codeOf(bearer), 200);
      assert.equal(await codeOf({ authorization: `bearer ${token}` }), 200, "the scheme's case does not matter");
      const wrong = [
        "",
        token,
        "Bearer",
        "Bearer ",
        `Basic ${token}`,
        `Bearer ${token.slice(1)}`,
        `Bearer ${token}0`,
        `Bearer ${token.toUpperCase()}x`,
        `Bearer ${token} ${token}`,
      ];
      assert.equal(await codeOf({}), "unauthorized");
      for (const authorization of wrong) assert.equal(await codeOf({ authorization }), "unauthorized", authorization);
      const { detail, hint } = problemOf(await ask(door, { path: "/v1/vms", headers: { authorization: "Bearer x" } }));
      assert.equal(detail, "the bearer token is wrong, expired or revoked");
      assert.match(hint ?? "", /token file/);
    });

    await step("without it only health is told, and not even which paths there are", async () => {
      for (const name of operationNames) {
        const { method, path } = operations[name];
        const { status } = await ask(door, { method, path: path.replaceAll(/\{\w+\}/g, "none") });
        assert.equal(status, name === "system.health" ? 200 : 401, name);
      }
      assert.equal((await ask(door, { path: "/v1/none" })).status, 401);
      assert.equal((await ask(door, { method: "PATCH", path: "/v1/vms" })).status, 401);
      assert.equal((await ask(door, { path: "/v1/none", headers: bearer })).status, 404);
    });

    await step("a name that is not the daemon's is refused, even with the token", async () => {
      for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `LocalHost:${port}`, `[::1]:${port}`])
        assert.equal(await codeOf({ ...bearer, host }), 200, host);
      const foreign = ["evil.example", `evil.example:${port}`, "127.0.0.1", "127.0.0.1:1", `127.0.0.1.evil:${port}`];
      for (const host of foreign) {
        assert.equal(await codeOf({ ...bearer, host }), "forbidden_origin", host);
        assert.equal(await codeOf({ host }, "/v1/health"), "forbidden_origin", host);
      }
      for (const head of ["HTTP/1.0", "HTTP/1.1\r\nHost:"]) {
        const nameless = new RawConnection(door);
        nameless.send(`GET /v1/vms ${head}\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n\r\n`);
        assert.match(await nameless.closed(), /^HTTP\/1\.1 403 /, head);
      }
    });

    await step("a page from elsewhere is refused, even with the token", async () => {
      for (const origin of [`http://127.0.0.1:${port}`, `http://localhost:${port}`, `https://localhost:${port}`])
        assert.equal(await codeOf({ ...bearer, origin }), 200, origin);
      const foreign = [
        "http://evil.example",
        "null",
        "http://127.0.0.1",
        "http://localhost:1",
        `http://localhost:${port}.evil`,
      ];
      for (const origin of foreign) {
        assert.equal(await codeOf({ ...bearer, origin }), "forbidden_origin", origin);
        assert.equal(await codeOf({ origin }, "/v1/health"), "forbidden_origin", origin);
      }
    });

    await step("the Unix socket asks for none of this", async () => {
      const headers = { host: "evil.example", origin: "http://evil.example", authorization: "Bearer wrong" };
      assert.equal((await ask({ socketPath: daemon.locations.socket }, { path: "/v1/vms", headers })).status, 200);
    });

    await step("the token is the same after a restart", async () => {
      await daemon.stop();
      await daemon.start();
      assert.equal(await readToken(daemon), token);
    });
  });
});

test("what the daemon makes is its user's alone, whatever the umask", async () => {
  const before = process.umask(0);
  try {
    await withDaemon({ config: anyPort }, async (daemon) => {
      const mode = async (path: string): Promise<string> => ((await fs.stat(path)).mode & 0o777).toString(8);
      const { socket, runtimeDirectory, stateDirectory } = daemon.locations;
      assert.equal(await mode(socket), "600");
      assert.equal(await mode(tokenFile(daemon)), "600");
      assert.equal(await mode(runtimeDirectory), "700");
      assert.equal(await mode(stateDirectory), "700");
    });
  } finally {
    process.umask(before);
  }
});

test("a token file without a token stops the daemon, which says what to do", async () => {
  const daemon = await makeDaemon();
  try {
    await fs.mkdir(dirname(tokenFile(daemon)), { recursive: true, mode: 0o700 });
    await fs.writeFile(tokenFile(daemon), "not a token\n", { mode: 0o600 });
    assert.deepEqual(await daemon.startUntilEnd(), { code: 1, signal: null });
    assert.match(daemon.log, /state\/nexus\/token does not hold a token.*delete it; a new one is made/);
  } finally {
    await fs.rm(tokenFile(daemon));
    await daemon.dispose();
  }
});

test("a port that another program has stops the daemon, which names it", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const daemon = await makeDaemon({ config: `api:\n  listen: 127.0.0.1:${port}\n` });
  try {
    assert.deepEqual(await daemon.startUntilEnd(), { code: 1, signal: null });
    assert.match(daemon.log, new RegExp(`cannot start: 127\\.0\\.0\\.1:${port} is in use by another program`));
    await assert.rejects(fs.stat(daemon.locations.socket), { code: "ENOENT" });
  } finally {
    other.close();
    await daemon.dispose();
  }
});

test("an address that this machine does not have stops the daemon, which names it", async () => {
  const daemon = await makeDaemon({ config: "api:\n  listen: 192.0.2.1:9600\n" }); // of the documentation's network
  try {
    assert.deepEqual(await daemon.startUntilEnd(), { code: 1, signal: null });
    assert.match(daemon.log, /cannot start: 192\.0\.2\.1:9600 cannot be listened on: .*EADDRNOTAVAIL/);
  } finally {
    await fs.writeFile(daemon.locations.configFile, "api:\n  listen: off\n");
    await daemon.dispose();
  }
});

test("daemons that name no port take different ones", () =>
  withDaemon({ config: "" }, async (first) => {
    await withDaemon({ config: "" }, async (second) => {
      const ports = [await portOf(first), await portOf(second)];
      assert.ok(ports.every((port) => port >= 9600 && port < 9700) && ports[0] !== ports[1], String(ports));
    });
  }));

test("the socket that a killed daemon left is replaced; one that is listened on is not", () =>
  withDaemon({}, async (daemon) => {
    const { socket } = daemon.locations;
    const left = await fs.stat(socket);
    await daemon.die();
    assert.equal((await fs.stat(socket)).ino, left.ino);
    await daemon.start();
    assert.notEqual((await fs.stat(socket)).ctimeMs, left.ctimeMs);
    await daemon.stop();
    await assert.rejects(fs.stat(socket), { code: "ENOENT" });

    const other = createServer().listen(socket);
    await once(other, "listening");
    assert.deepEqual(await daemon.startUntilEnd(), { code: 1, signal: null });
    assert.match(daemon.log, /another daemon listens on .*nexus\.sock/);
    other.close();
    await eventually(
      () =>
        fs.stat(socket).then(
          () => true,
          () => false,
        ),
      (there) => !there,
    );
  }));
