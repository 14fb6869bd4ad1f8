import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { promises as fs, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Process } from "@workfort/contract";
import { runTool } from "@workfort/host/process/run.ts";
import { eventually, sendTree, withDaemon, type TestDaemon } from "@workfort/testing";
import { launcher, nexusctl, startCli, type Ended } from "../helpers/run.ts";

/** Processes in a VM as objects of their own, by nexusctl, against a real daemon and a real VM. */
test("processes with nexusctl", async (context) => {
  await withDaemon({}, async (daemon) => {
    const env = daemon.env;
    const params = { vm: "dev" };
    const cli = async (...words: string[]): Promise<Ended> => await nexusctl(env, words);
    const ok = async (...words: string[]): Promise<string> => {
      const { code, stdout, stderr } = await cli(...words);
      assert.equal(code, 0, `${words.join(" ")}: ${stderr}`);
      return stdout;
    };
    const detach = async (...command: string[]): Promise<string> =>
      (await ok("vm", "exec", "--detach", "dev", "--", ...command)).trimEnd();
    await daemon.importBase();
    await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
    await daemon.client.call("vm.start", { params, body: {} });

    await context.test("a detached command is listed, read, waited for, followed and forgotten", async () => {
      const id = await detach(
        "sh",
        "-c",
        "echo out; echo err >&2; while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 7",
      );
      assert.match(id, /^run-[0-9a-f]{20}$/);
      const listed = async (): Promise<Process[]> =>
        (JSON.parse(await ok("vm", "process", "list", "dev", "--json")) as { processes: Process[] }).processes;
      await eventually(listed, (processes) => processes[0]?.stderr.end === 4);
      assert.match(
        await ok("vm", "ps", "ls", "dev"),
        new RegExp(`^${id} +running +\\d+ +root .* 4 +4 +sh -c echo out; `, "m"),
      );
      assert.equal(await ok("vm", "process", "list", "dev", "-q"), `${id}\n`);
      const held = await cli("vm", "process", "output", "dev", id);
      assert.deepEqual([held.code, held.stdout, held.stderr], [0, "out\n", "err\n"]);
      assert.equal((await cli("vm", "process", "delete", "dev", id)).code, 5);
      const following = startCli(env, "vm", "process", "attach", "dev", id, "--stdout", "1");
      const waiting = cli("vm", "process", "wait", "dev", id);
      await once(following.child.stdout, "data");
      await ok("vm", "exec", "dev", "touch", "/tmp/go");
      const { code, stdout, stderr } = await following.ended;
      assert.deepEqual([code, stdout, stderr], [7, "ut\n", "err\n"]);
      assert.equal((await waiting).code, 7);
      const again = await cli("vm", "process", "attach", "dev", id);
      assert.deepEqual([again.code, again.stdout, again.stderr], [7, "out\n", "err\n"], "what has ended is still held");
      await ok("vm", "process", "delete", "dev", id);
      for (const verb of ["attach", "output", "wait", "delete", "kill"])
        assert.equal((await cli("vm", "process", verb, "dev", id)).code, 4, verb);
    });

    await context.test("signals end it, and the codes say how; Ctrl-C ends only the watching", async () => {
      for (const [words, code] of [
        [["signal", "TERM"], 143],
        [["signal", "sigusr1"], 138],
        [["signal", "9"], 137],
        [["kill"], 137],
      ] as const) {
        const id = await detach("sleep", "600");
        const [verb, signal] = words;
        await ok("vm", "process", verb, "dev", id, ...(signal === undefined ? [] : [signal]));
        assert.equal((await cli("vm", "process", "wait", "dev", id)).code, code, words.join(" "));
      }
      const late = (await ok("vm", "exec", "-d", "--timeout", "100ms", "dev", "--", "sleep", "600")).trimEnd();
      assert.equal((await cli("vm", "process", "wait", "dev", late)).code, 124);
      const id = await detach("sh", "-c", "echo begun; sleep 600");
      const { child, ended } = startCli(env, "vm", "process", "attach", "dev", id);
      await once(child.stdout, "data");
      child.kill("SIGINT");
      assert.equal((await ended).signal, "SIGINT");
      assert.match(await ok("vm", "process", "list", "dev"), new RegExp(`^${id} +running `, "m"));
      await ok("vm", "process", "kill", "dev", id);
      assert.equal((await cli("vm", "process", "signal", "dev", id, "NONSENSE")).code, 2);
      assert.equal((await cli("vm", "process", "attach", "dev", id, "--stdout", "x")).code, 2);
      assert.equal((await cli("vm", "process", "attach", "dev", id, "--stdout", "999999")).code, 2);
      assert.equal((await cli("vm", "exec", "-d", "-i", "dev", "cat")).code, 2);
    });

    await context.test(
      "after kill -9 of the daemon in the middle, nothing is lost and nothing comes twice",
      async () => {
        // slow enough for the daemon to die in the middle, and within what the guest holds
        const id = await detach(
          "sh",
          "-c",
          "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; cat /tmp/no 2>&1",
        );
        const script = "i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); sleep 0.01; done";
        const slow = await detach("sh", "-c", script);
        const { child, ended } = startCli(env, "vm", "process", "attach", "dev", slow);
        await once(child.stdout, "data");
        await daemon.die();
        await daemon.start();
        const { code, stdout, stderr } = await ended;
        assert.deepEqual([code, stderr], [0, ""]);
        assert.equal(stdout, linesTo(200));
        // one that nobody was attached to is held, too, from whatever byte
        await eventually(
          () => daemon.client.call("process.get", { params: { ...params, process: id } }),
          ({ state }) => state === "exited",
        );
        const whole = (await cli("vm", "process", "attach", "dev", id)).stdout;
        assert.ok(whole.startsWith(linesTo(3000)));
        assert.equal(
          (await cli("vm", "process", "attach", "dev", id, "--stdout", "10000")).stdout,
          whole.slice(10_000),
        );
      },
    );

    await context.test("what fell out of the ring is told, and is no success", async () => {
      const id = await detach("head", "-c", "3000000", "/dev/zero");
      assert.equal((await cli("vm", "process", "wait", "dev", id)).code, 0);
      const { code, stdout, stderr } = await cli("vm", "process", "attach", "dev", id, "--stdout", "0");
      assert.equal(code, 1);
      assert.match(stderr, /^nexusctl: \d+ bytes of stdout are no longer held\n$/);
      assert.ok(stdout.length <= 1024 * 1024 && stdout.length > 0);
    });

    await context.test(
      "much output passes through a daemon that does not grow (test/full has two gigabytes)",
      async () => {
        const through = async (megabytes: number): Promise<number> => {
          let [peak, ended] = [residentOf(daemon), false];
          const child = spawn(
            launcher,
            ["vm", "exec", "dev", "--", "dd", "if=/dev/zero", "bs=1M", `count=${megabytes}`, "status=none"],
            {
              env,
              stdio: ["ignore", "ignore", "inherit"],
            },
          );
          void once(child, "exit").then(() => (ended = true));
          await eventually(
            () => {
              peak = Math.max(peak, residentOf(daemon));
              return ended;
            },
            (is) => is,
          );
          assert.equal(child.exitCode, 0);
          return peak;
        };
        const few = await through(32);
        const many = await through(256);
        // were it held, it would be many times as large
        assert.ok(many < 2 * few, `${few} and ${many}`);
      },
    );

    await context.test("git fetches from and pushes to a guest through vm exec", async () => {
      await giveGit(daemon);
      await ok("vm", "exec", "dev", "--", "git", "init", "--quiet", "--bare", "--initial-branch=main", "/srv/project");
      const remote = `ext::${launcher} vm exec -i dev %S /srv/project`;
      const home = join(daemon.directory, "git");
      await fs.mkdir(home);
      const git = async (directory: string, ...words: string[]): Promise<string> => {
        const who = [
          "-c",
          "user.name=Somebody",
          "-c",
          "user.email=somebody@example.org",
          "-c",
          "protocol.ext.allow=always",
        ];
        const { stdout } = await runTool(["git", ...who, "-C", directory, ...words], { env: { ...env, HOME: home } });
        return stdout;
      };
      await git(home, "init", "--quiet", "--initial-branch=main", "one");
      const one = join(home, "one");
      const content = createHash("sha512").update("seed").digest("hex").repeat(20_000);
      await fs.writeFile(join(one, "file"), content);
      await git(one, "add", "file");
      await git(one, "commit", "--quiet", "-m", "first");
      await git(one, "push", "--quiet", remote, "main");
      await git(home, "clone", "--quiet", remote, "two");
      assert.equal(await fs.readFile(join(home, "two/file"), "utf8"), content);
      assert.equal(await git(join(home, "two"), "rev-parse", "HEAD"), await git(one, "rev-parse", "HEAD"));
    });
  });
});

function linesTo(count: number): string {
  return Array.from({ length: count }, (_, line) => `line ${line}\n`).join("");
}

/** bytes */
function residentOf({ pid }: TestDaemon): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}

/** This machine's git in the guest, with what it is linked with; a minimal Debian has none. */
async function giveGit(daemon: TestDaemon): Promise<void> {
  const tree = join(daemon.directory, "git-tree");
  await fs.mkdir(join(tree, "usr/bin"), { recursive: true });
  await fs.mkdir(join(tree, "opt/lib"), { recursive: true });
  await runTool(["cp", "--dereference", "/usr/bin/git", join(tree, "usr/bin/git")]);
  for (const name of ["git-upload-pack", "git-receive-pack"]) await fs.symlink("git", join(tree, "usr/bin", name));
  const { stdout } = await runTool(["ldd", "/usr/bin/git"]);
  for (const [, path = ""] of stdout.matchAll(/=> (\/\S+)/g))
    await runTool(["cp", "--dereference", path, join(tree, "opt/lib")]);
  await sendTree(daemon, "dev", tree);
  const link =
    "for lib in /opt/lib/*; do name=${lib##*/}; ls /lib/*/$name /usr/lib/*/$name >/dev/null 2>&1 || cp $lib /usr/lib/; done";
  await daemon.client.call("vm.exec", { params: { vm: "dev" }, body: { argv: ["sh", "-c", link] } });
}
