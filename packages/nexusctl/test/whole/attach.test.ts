import assert from "node:assert/strict";
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { eventually, withDaemon, type TestDaemon } from "@workfort/testing";
import { launcher, nexusctl } from "../helpers/run.ts";

/** nexusctl on a terminal of its own, as script(1) makes one. */
class AtTerminal {
  static readonly #all: AtTerminal[] = [];
  text = "";
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #closed: Promise<unknown>;

  constructor(daemon: TestDaemon, command: string) {
    const line =
      "stty cols 90 rows 25; before=$(stty -g); echo pid $$; " +
      `${launcher} ${command}; code=$?; [ "$before" = "$(stty -g)" ] && echo given back; echo code $code`;
    this.#child = spawn("script", ["-qfec", line, "/dev/null"], { env: daemon.env, cwd: "/" });
    this.#closed = once(this.#child, "close");
    this.#child.stdout.on("data", (bytes: Buffer) => (this.text += bytes.toString("utf8")));
    this.#child.stdin.on("error", () => {});
    AtTerminal.#all.push(this);
  }

  /** Ends those that a test which failed has left. */
  static async endAll(): Promise<void> {
    for (const { child, closed } of AtTerminal.#all.map((one) => ({ child: one.#child, closed: one.#closed }))) {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await closed;
    }
  }

  type(text: string): void {
    this.#child.stdin.write(text);
  }

  async shows(text: string): Promise<void> {
    await eventually(
      () => this.text,
      (shown) => shown.includes(text),
      30_000,
    );
  }

  /** pid of nexusctl itself, or of the launcher that became it */
  async pid(): Promise<number> {
    const shell = await eventually(
      () => Number(/pid (\d+)/.exec(this.text)?.[1]),
      (pid) => pid > 0,
    );
    const children = await readFile(`/proc/${shell}/task/${shell}/children`, "utf8");
    return Number(children.trim().split(" ")[0]);
  }

  /** Its exit code, once it has ended and given the terminal back. */
  async code(): Promise<number> {
    await this.#closed;
    assert.match(this.text, /given back/, this.text);
    return Number(/code (\d+)\s*$/.exec(this.text)?.[1]);
  }
}

test("being at a terminal of a VM", async (context) => {
  await withDaemon({}, async (daemon) => {
    const env = daemon.env;
    const cli = async (...words: string[]): Promise<string> => {
      const { code, stdout, stderr } = await nexusctl(env, words);
      assert.equal(code, 0, stderr);
      return stdout;
    };
    await daemon.importBase();
    await cli("vm", "create", "dev", "--memory", "256M", "--start");

    await context.test("detach, come back, leave with the shell's exit code", async () => {
      const first = new AtTerminal(daemon, "vm attach dev");
      await first.shows("dev: main (ctrl-p ctrl-q detaches)");
      first.type("stty size; echo he''re\n");
      await first.shows("25 90\r\nhere");
      first.type("\u0010\u0011");
      assert.equal(await first.code(), 0);
      assert.match(first.text, /nexusctl vm attach dev goes back/);
      assert.match(await cli("vm", "terminal", "list", "dev"), /^main +running +90x25 +0 /m);
      assert.equal(await cli("vm", "terminal", "ls", "dev", "-q"), "main\n");

      const second = new AtTerminal(daemon, "vm attach dev");
      await second.shows("25 90");
      second.type("exit 9\n");
      assert.equal(await second.code(), 9);
      assert.match(await cli("vm", "terminal", "list", "dev"), /^main +exit 9 /m);
      assert.equal(await cli("vm", "terminal", "rm", "dev", "main"), "main deleted\n");
    });

    await context.test("the daemon dies and comes back, and so does the view; the terminal is recorded", async () => {
      const file = join(daemon.directory, "session.cast");
      const view = new AtTerminal(daemon, `vm attach dev --record ${file} -- sh -c 'echo begun; read x; echo got $x'`);
      await view.shows("begun");
      await daemon.die();
      await view.shows("the line broke; connecting again");
      await daemon.start();
      await eventually(
        () => view.text.split("begun").length,
        (count) => count === 3,
      );
      view.type("this\n");
      assert.equal(await view.code(), 0);
      assert.match(view.text, /got this/);
      const [header, ...events] = (await readFile(file, "utf8"))
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
      assert.deepEqual([header.version, header.width, header.height], [2, 90, 25]);
      assert.match(events.map(([, , data]) => data).join(""), /begun[^]*got this/);
      await cli("vm", "terminal", "delete", "dev", "main");
    });

    await context.test(
      "one takes the terminal over, and a third records it without a terminal of its own",
      async () => {
        const file = join(daemon.directory, "recorded.cast");
        const first = new AtTerminal(daemon, "vm attach dev -- sh -c 'echo begun; read x; echo got $x; exit 3'");
        await first.shows("begun");
        const recording = nexusctl(env, ["vm", "terminal", "record", "dev", file]);
        const second = new AtTerminal(daemon, "vm attach dev --take-over");
        await first.shows("taken over by another viewer");
        await second.shows("begun");
        first.type("not this");
        first.type("\u0003");
        assert.equal(await first.code(), 0, "one who only looks on leaves by Ctrl-C");
        second.type("this\n");
        assert.equal(await second.code(), 3);
        const { code, stdout, stderr } = await recording;
        assert.deepEqual([code, stdout, stderr], [0, "", ""]);
        assert.match(await readFile(file, "utf8"), /^\{"version":2,"width":90,"height":25,[^]*begun[^]*got this/);
        await cli("vm", "terminal", "delete", "dev", "main");
      },
    );

    await context.test("a program sets modes, the line is killed, and the terminal is as it was", async () => {
      // it waits for a line, since what is written before the viewer is there comes as a drawn screen
      const script = "echo begun; read x; printf '\\033[?1049h\\033[?1000h\\033[?2004hon'; sleep 1000";
      const view = new AtTerminal(daemon, `vm attach dev --new -- sh -c "${script}"`);
      await view.shows("begun");
      view.type("\n");
      await view.shows("\u001B[?2004hon");
      process.kill(await view.pid(), "SIGTERM");
      assert.equal(await view.code(), 143);
      for (const undone of ["\u001B[?1047l", "\u001B[?1000l", "\u001B[?2004l"]) await view.shows(undone);
      const id = (await cli("vm", "terminal", "list", "dev", "-q")).trim();
      assert.match(id, /^t-/, "--new names it");
      assert.match(await cli("vm", "terminal", "resize", "dev", id, "40", "10"), /has 40 columns and 10 rows/);

      const onlooker = new AtTerminal(daemon, `vm attach dev --terminal ${id} --read-only --detach-keys x,y`);
      await onlooker.shows("(x y detaches)");
      onlooker.type("axay");
      onlooker.type("xy");
      assert.equal(await onlooker.code(), 0);
      assert.match(await cli("vm", "terminal", "list", "dev"), /40x10/, "one who looks on leaves the size");
      await cli("vm", "terminal", "delete", "dev", id);
    });

    await context.test("exec -it has a terminal of its own, which goes with it", async () => {
      const run = new AtTerminal(daemon, "vm exec -it dev -- sh -c 'tty; read x; exit $x'");
      await run.shows("/dev/pts/");
      run.type("17\n");
      assert.equal(await run.code(), 17);
      const interrupted = new AtTerminal(daemon, "vm exec -it dev -- sh -c 'echo up; exec sleep 1000'");
      // written before the line was there, it comes as a drawn screen instead of as its own bytes
      await interrupted.shows("up");
      interrupted.type("\u0003");
      assert.equal(await interrupted.code(), 130);
      const missing = new AtTerminal(daemon, "vm exec -it dev -- /no/such");
      assert.equal(await missing.code(), 127);
      assert.equal(await cli("vm", "terminal", "list", "dev", "-q"), "");
    });

    await context.test("what cannot be is refused with a reason", async () => {
      const { code, stderr } = await nexusctl(env, ["vm", "attach", "dev"]);
      assert.equal(code, 2);
      assert.match(stderr, /must be a terminal/);
      assert.equal((await nexusctl(env, ["vm", "exec", "-t", "--json", "dev", "true"])).code, 2);
      assert.equal((await nexusctl(env, ["vm", "terminal", "delete", "dev", "none"])).code, 4);
      const nothing = join(daemon.directory, "nothing.cast");
      assert.equal((await nexusctl(env, ["vm", "terminal", "record", "dev", nothing])).code, 4);
      assert.equal((await nexusctl(env, ["vm", "terminal", "record", "dev", "/no/such/place"])).code, 1);
      const both = new AtTerminal(daemon, "vm attach dev --take-over --read-only");
      assert.equal(await both.code(), 2);
      assert.equal((await nexusctl(env, ["vm", "terminal", "resize", "dev", "none", "0", "0"])).code, 2);
      const nowhere = new AtTerminal(daemon, "vm attach none");
      assert.equal(await nowhere.code(), 4);
      const keys = new AtTerminal(daemon, "vm attach dev --detach-keys ctrl-é");
      assert.equal(await keys.code(), 2);
    });
  }).finally(() => AtTerminal.endAll());
});
