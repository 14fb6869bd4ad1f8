import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { checkout, eventually, makeDaemon, node, withDaemon, type TestDaemon } from "@workfort/testing";
import { NotifySocket } from "./notify-socket.ts";
import { ask, RawConnection } from "./raw-http.ts";

/** nexusd as a service: what it tells systemd and the journal, how it ends, and that there is one of it. */

const next = (notify: NotifySocket): Promise<string | null> =>
  eventually(
    () => notify.take(),
    (message) => message !== null,
  );

/** Runs a daemon, which is to end, beside systemd's socket. */
async function withService(
  use: (daemon: TestDaemon, notify: NotifySocket, run: () => ReturnType<TestDaemon["startUntilEnd"]>) => Promise<void>,
): Promise<void> {
  const daemon = await makeDaemon({ config: "api:\n  listen: 127.0.0.1:0\n" });
  try {
    await using notify = new NotifySocket(join(daemon.directory, "notify"));
    await use(daemon, notify, () => daemon.startUntilEnd({ NOTIFY_SOCKET: notify.path }));
  } finally {
    await daemon.dispose();
  }
}

for (const signal of ["SIGTERM", "SIGINT"] as const)
  test(`systemd is told when it serves and when it stops; ${signal} ends it with 0`, () =>
    withService(async (daemon, notify, run) => {
      const ended = run();
      assert.equal(await next(notify), "READY=1");
      const { body } = await ask({ socketPath: daemon.locations.socket }, { path: "/v1/status" });
      const { tcp } = JSON.parse(body.toString()) as { tcp: string };
      const port = Number(tcp.split(":")[1]);
      assert.equal(
        (await ask({ host: "127.0.0.1", port }, { path: "/v1/health" })).status,
        200,
        "no second try needed",
      );

      process.kill(daemon.pid, signal);
      assert.equal(await next(notify), "STOPPING=1");
      assert.deepEqual(await ended, { code: 0, signal: null });
      assert.equal(notify.take(), null, "nothing is said twice");
    }));

test("a socket of systemd's that cannot be reached is no reason not to serve", () =>
  withDaemon({ env: { NOTIFY_SOCKET: "/nonexistent/notify" } }, async (daemon) => {
    assert.match(daemon.log, /systemd could not be told READY=1/);
    assert.equal(await daemon.stop(), 0);
  }));

test("a daemon that cannot start is never said to be ready", () =>
  withService(async (daemon, notify, run) => {
    await daemon.start();
    const { status, stderr } = second(daemon, { NOTIFY_SOCKET: notify.path });
    assert.equal(status, 1, stderr);
    assert.equal(notify.take(), null);
    await daemon.stop();
    const ended = run();
    assert.equal(await next(notify), "READY=1");
    process.kill(daemon.pid, "SIGTERM");
    await ended;
  }));

test("a request under way is answered before it ends; one that never comes does not hold it up", () =>
  withService(async (daemon, notify, run) => {
    const ended = run();
    await next(notify);
    const door = { socketPath: daemon.locations.socket };
    const body = JSON.stringify({ name: "other", image: "none" });
    const begin = (): RawConnection => {
      const connection = new RawConnection(door);
      connection.send(
        `POST /v1/workspaces HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`,
      );
      return connection;
    };
    const [underWay, never] = [begin(), begin()];
    for (const connection of [underWay, never])
      await eventually(
        () => connection.received,
        (text) => text.startsWith("HTTP/1.1 100 "), // the head has arrived
      );
    process.kill(daemon.pid, "SIGTERM");
    assert.equal(await next(notify), "STOPPING=1");
    await eventually(
      () =>
        ask(door, { path: "/v1/health" }).then(
          () => "answered",
          (error: NodeJS.ErrnoException) => error.code,
        ),
      (code) => code === "ECONNREFUSED" || code === "ENOENT",
    );
    underWay.send(body);
    assert.match(await underWay.closed(), /HTTP\/1\.1 404 [^]*there is no image \\"none\\"/);
    assert.deepEqual(await ended, { code: 0, signal: null });
    assert.doesNotMatch(await never.closed(), /HTTP\/1\.1 [2-5]/);
  }));

test("the log is JSON with the time; under the journal, which has its own, without", async () => {
  for (const env of [{}, { JOURNAL_STREAM: "8:1" }] as Record<string, string>[])
    await withDaemon({ env }, async (daemon) => {
      const begun = Date.now();
      await daemon.stop();
      const lines = daemon.log
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      const timed = env["JOURNAL_STREAM"] === undefined;
      for (const line of lines) {
        assert.deepEqual(Object.keys(line).slice(0, timed ? 2 : 1), timed ? ["level", "time"] : ["level"]);
        assert.equal("time" in line, timed);
        assert.match(String(line["level"]), /^(info|warn)$/);
        assert.equal(typeof line["msg"], "string");
      }
      const said = lines.map((line) => line["msg"]);
      for (const message of ["nexusd serves", "stopping; running VMs stay", "stopped"])
        assert.ok(said.includes(message), message);
      const stopping = lines.find((line) => line["msg"] === "stopping; running VMs stay");
      assert.equal(stopping?.["signal"], "SIGTERM");
      if (timed) assert.ok(Math.abs(Date.parse(String(stopping?.["time"])) - begun) < 60_000);
    });
});

test("a second daemon on the same directories is refused, and told which one serves them", () =>
  withDaemon({}, async (daemon) => {
    const { stateDirectory, dataDirectory } = daemon.locations;
    const elsewhere = {
      XDG_STATE_HOME: join(daemon.directory, "other-state"),
      XDG_RUNTIME_DIR: join(daemon.directory, "run"),
    };
    for (const [env, served] of [
      [{}, stateDirectory],
      [elsewhere, dataDirectory],
      [{}, stateDirectory],
    ] as const) {
      const { status, stderr } = second(daemon, env);
      assert.equal(status, 1, stderr);
      const { level, msg } = JSON.parse(stderr) as { level: string; msg: string };
      const [what, hint] = msg.split("\n");
      assert.equal(level, "fatal");
      assert.equal(what, `nexusd cannot start: another nexusd (pid ${daemon.pid}) already serves ${served}`);
      assert.match(hint ?? "", /NEXUS_INSTANCE/);
    }
    assert.equal((await daemon.client.call("system.status")).pid, daemon.pid, "the first serves on");
  }));

/** Runs another nexusd in the daemon's environment until it ends. */
function second(daemon: TestDaemon, env: Record<string, string>): { status: number | null; stderr: string } {
  return spawnSync(node, [join(checkout, "packages/nexusd/src/main.ts")], {
    env: { ...daemon.env, ...env },
    encoding: "utf8",
    timeout: 30_000,
  });
}
