import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, promises as fs } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { sameProcess } from "../../src/process/identity.ts";
import { Keeper, startKeeper } from "../../src/process/keeper.ts";
import { directory, keep, keeperProgram, readUntil } from "./keeper-program.ts";

const shell = (script: string): string[] => ["sh", "-c", script];
/** Neither gone nor a zombie, which an orphan stays until somebody reaps it. */
async function lives(pid: number): Promise<boolean> {
  const stat = await fs.readFile(`/proc/${pid}/stat`, "utf8").catch(() => ") Z");
  return stat.slice(stat.lastIndexOf(")") + 2)[0] !== "Z";
}

const failure = (code: string, message: RegExp) => ({ name: "KeeperError", code, message });

test("tells who was started, and that it runs", async (t) => {
  const { keeper, keeperPid, vmmPid, vmmStartTime } = await keep(t, ["sleep", "60"]);
  assert.notEqual(keeperPid, vmmPid);
  assert.equal(await sameProcess(vmmPid, vmmStartTime), true);
  const status = await keeper.status();
  assert.equal(status.state, "running");
  assert.deepEqual([status.vmmPid, status.vmmStartTime, status.consoleEnd], [vmmPid, vmmStartTime, 0]);
  assert.ok(Math.abs(status.startedAt - Date.now()) < 60_000);
});

test("the keeper leads its own session and holds none of this process's descriptors", async (t) => {
  const { keeper, keeperPid } = await keep(t, ["sleep", "60"]);
  await keeper.status(); // it serves once it has left the streams that it said its line on
  const stat = await fs.readFile(`/proc/${keeperPid}/stat`, "utf8");
  assert.equal(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[3], String(keeperPid), "session");
  for (const fd of ["0", "1", "2"]) assert.equal(await fs.readlink(`/proc/${keeperPid}/fd/${fd}`), "/dev/null");
});

test("waits for the end and tells the exit code", async (t) => {
  const { keeper } = await keep(t, shell("read line; exit 7"));
  const waiting = [keeper.waitForEnd(), keeper.waitForEnd(), keeper.waitForEnd()];
  await keeper.input(Buffer.from("\n"));
  for (const ended of await Promise.all(waiting)) assert.deepEqual([ended.exitCode, ended.signal], [7, null]);
  const ended = await keeper.waitForEnd();
  assert.ok(ended.endedAt >= ended.startedAt);
});

test("names the signal that ended it", async (t) => {
  const { keeper } = await keep(t, ["sleep", "60"]);
  await keeper.signal("SIGKILL");
  const ended = await keeper.waitForEnd();
  assert.deepEqual([ended.exitCode, ended.signal], [null, "SIGKILL"]);
  assert.deepEqual(await keeper.status(), ended);
  await assert.rejects(keeper.signal("SIGTERM"), failure("ended", /VMM has ended/));
  await assert.rejects(keeper.input(Buffer.from("x")), failure("ended", /VMM has ended/));
});

test("rejects a wait when the keeper goes away, and the VMM goes with it", async (t) => {
  const { keeper, keeperPid, vmmPid, socketPath } = await keep(t, ["sleep", "60"]);
  const waiting = keeper.waitForEnd();
  await keeper.status();
  process.kill(keeperPid, "SIGKILL");
  await assert.rejects(
    waiting,
    failure("unreachable", new RegExp(`no keeper listens at ${socketPath} .*ECONNREFUSED`)),
  );
  await assert.rejects(keeper.status(), failure("unreachable", /no keeper listens at .*ECONNREFUSED/));
  while (await lives(vmmPid)) await new Promise(setImmediate);
});

test("gives up a wait, and only that, when its signal says so", async (t) => {
  const { keeper } = await keep(t, ["sleep", "60"]);
  const giveUp = new AbortController();
  const waiting = keeper.waitForEnd(giveUp.signal);
  await keeper.status();
  giveUp.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
  await assert.rejects(keeper.waitForEnd(giveUp.signal), /enough/);
  assert.equal((await keeper.status()).state, "running");
});

test("keeps the end of the console, addressed by offset", async (t) => {
  const { keeper } = await keep(t, shell("seq -f %04g 1 2000"), { consoleBytes: 4096 });
  await keeper.waitForEnd();
  const all = await keeper.console(0);
  assert.deepEqual([all.start, all.offset, all.bytes.length], [10_000 - 4096, 10_000 - 4096, 4096]);
  assert.ok(all.bytes.toString().endsWith("\n2000\n"));
  assert.equal((await keeper.console(9990)).bytes.toString(), "1999\n2000\n");
  const none = await keeper.console(1_000_000);
  assert.equal(none.bytes.length, 0);
});

test("hands over a console of the largest size", async (t) => {
  const size = 16 * 1024 * 1024;
  const { keeper } = await keep(t, shell(`head -c ${size + 5} /dev/zero | tr '\\0' x`), { consoleBytes: size });
  await keeper.waitForEnd();
  const { start, bytes } = await keeper.console(0);
  assert.deepEqual([start, bytes.length, bytes.every((byte) => byte === 120)], [5, size, true]);
});

test("follows the console until the end", async (t) => {
  const { keeper } = await keep(t, shell("echo one; read x; echo two"));
  let [text, answered] = ["", false];
  for await (const bytes of keeper.followConsole(0)) {
    text += bytes.toString();
    if (!answered && text === "one\n") {
      answered = true;
      await keeper.input(Buffer.from("\n"));
    }
  }
  assert.equal(text, "one\ntwo\n");
});

test("a follower can be left at any time", async (t) => {
  const { keeper } = await keep(t, shell("echo one; exec sleep 60"));
  assert.equal(await readUntil(keeper.followConsole(0), (text) => text.includes("\n")), "one\n");
  const giveUp = new AbortController();
  const following = readUntil(keeper.followConsole(0, giveUp.signal), () => (giveUp.abort(new Error("enough")), false));
  await assert.rejects(following, /enough/);
  assert.equal((await keeper.status()).state, "running");
});

test("a follower who lets the console overtake it is told so, not left with half of it", async (t) => {
  const { keeper } = await keep(t, ["yes"], { consoleBytes: 4096 });
  const following = keeper.followConsole(0)[Symbol.asyncIterator]();
  await following.next();
  // nothing is read while the ring goes round many times over what sockets and streams can hold
  const from = (await keeper.status()).consoleEnd;
  while ((await keeper.status()).consoleEnd < from + 16 * 1024 * 1024);
  await assert.rejects(
    async () => {
      for (;;) if ((await following.next()).done) return;
    },
    failure("protocol", /read too slowly .* follow it again from there/),
  );
});

test("keeps what the VMM says on stderr", async (t) => {
  const { keeper } = await keep(t, shell("echo to stdout; echo to stderr >&2"));
  await keeper.waitForEnd();
  assert.equal(await keeper.errorOutput(), "to stderr\n");
});

test("writes long input in order", async (t) => {
  const { keeper } = await keep(t, shell("head -c 20000 | sha256sum; exit 4"));
  await keeper.input(Buffer.alloc(20_000, "abc"));
  assert.equal((await keeper.waitForEnd()).exitCode, 4);
  const { createHash } = await import("node:crypto");
  const expected = createHash("sha256").update(Buffer.alloc(20_000, "abc")).digest("hex");
  assert.equal((await keeper.console(0)).bytes.toString(), `${expected}  -\n`);
});

test("says when the VMM takes no more input", async (t) => {
  const { keeper } = await keep(t, ["sleep", "60"]);
  await assert.rejects(
    keeper.input(Buffer.alloc(4 * 1024 * 1024)),
    failure("full", /does not read its standard input/),
  );
});

test("is released only after the end, and leaves no socket", async (t) => {
  const { keeper, socketPath } = await keep(t, ["sleep", "60"]);
  await assert.rejects(keeper.release(), failure("running", /VMM still runs/));
  await keeper.signal("SIGTERM");
  await keeper.waitForEnd();
  await keeper.release();
  assert.equal(existsSync(socketPath), false);
  await assert.rejects(keeper.status(), failure("unreachable", /no keeper listens at .*ENOENT/));
  await keeper.release(); // it is gone already, which is what was wanted
});

test("a path is free for the next keeper once the last one is released", async (t) => {
  const socketPath = join(await directory(t), "k");
  for (let round = 0; round < 5; round += 1) {
    const keeper = new Keeper(socketPath);
    await startKeeper({ program: keeperProgram, socketPath, consoleBytes: 4096, argv: ["true"] });
    await keeper.waitForEnd();
    await keeper.release();
  }
});

test("passes environment and working directory on", async (t) => {
  const cwd = await fs.realpath(await directory(t));
  const { keeper } = await keep(t, ["/bin/sh", "-c", 'echo "$PWD $NAME $HOME"'], { cwd, env: { NAME: "value" } });
  await keeper.waitForEnd();
  assert.equal((await keeper.console(0)).bytes.toString(), `${cwd} value \n`);
});

test("puts the VMM into namespaces, its keeper stays outside", async (t) => {
  const words = process.getuid?.() === 0 ? ["--net"] : ["--user", "--map-root-user", "--net"];
  const holder = spawn("unshare", [...words, "sh", "-c", "echo held; exec sleep infinity"], { stdio: "pipe" });
  t.after(() => holder.kill("SIGKILL"));
  await once(holder.stdout, "data");
  const network = `/proc/${holder.pid}/ns/net`;
  const user = words.length === 1 ? null : `/proc/${holder.pid}/ns/user`;
  const { keeperPid, vmmPid } = await keep(t, ["sleep", "60"], { namespaces: { network, user } });
  const of = async (pid: number): Promise<string> => await fs.readlink(`/proc/${pid}/ns/net`);
  assert.equal(await of(vmmPid), await fs.readlink(network));
  assert.equal(await of(keeperPid), await of(process.pid));
});

test("tells in the keeper's own words why nothing was started, and leaves nothing", async (t) => {
  const where = await directory(t);
  const socketPath = join(where, "k");
  const start = { program: keeperProgram, socketPath, consoleBytes: 4096, argv: ["true"] };
  const rejects = async (change: object, message: RegExp): Promise<void> => {
    await assert.rejects(startKeeper({ ...start, ...change }), failure("unreachable", message));
    assert.deepEqual(await fs.readdir(where), []);
  };
  await rejects({ argv: [join(where, "missing")] }, /^keeper: .*\/missing: No such file/);
  await rejects({ argv: ["/"] }, /^keeper: \/: Permission denied/);
  await rejects({ argv: [] }, /^keeper: arguments: a program is missing/);
  await rejects({ consoleBytes: 1 }, /^keeper: arguments: --console-bytes takes/);
  await rejects({ cwd: join(where, "nowhere") }, /^keeper: .*\/nowhere: No such file/);
  await rejects({ namespaces: { network: "/nowhere", user: null } }, /^keeper: \/nowhere: No such file/);
  await rejects(
    { namespaces: { network: "/proc/self/ns/net", user: "/dev/null" } },
    /^keeper: \/dev\/null: this is no/,
  );
  await rejects({ socketPath: join(where, "no", "k") }, /^keeper: .*\/no\/k: No such file/);
  await rejects({ socketPath: join(where, "k".repeat(200)) }, /^keeper: .*k: .*path must be shorter/);
  await rejects({ program: join(where, "keeper") }, /the keeper .*\/keeper could not be run: .*ENOENT/);
  await rejects({ program: "/bin/false" }, /the keeper \/bin\/false ended with 1/);
  await assert.rejects(
    startKeeper({ ...start, program: "/bin/echo" }),
    failure("protocol", /is no keeper of this version/),
  );
});

test("does not take a socket that exists", async (t) => {
  const { keeper, socketPath } = await keep(t, ["sleep", "60"]);
  const second = startKeeper({ program: keeperProgram, socketPath, consoleBytes: 4096, argv: ["true"] });
  await assert.rejects(second, failure("unreachable", /^keeper: .*Address already in use/));
  assert.equal((await keeper.status()).state, "running");
});
