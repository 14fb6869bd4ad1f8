import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { Drive, ExecResult, Status, Vm, VmHistory } from "@workfort/contract";
import { withDaemon, type TestDaemon } from "@workfort/testing";
import { nexusctl, startCli, type Ended } from "../helpers/run.ts";

/** nexusctl against a real daemon and a real VM, in the order of a working day. */
test("a day with nexusctl", async (context) => {
  await withDaemon({}, async (daemon) => {
    const env = daemon.env;
    const cli = async (...words: string[]): Promise<Ended> => await nexusctl(env, words);
    const ok = async (...words: string[]): Promise<string> => {
      const { code, stdout, stderr } = await cli(...words);
      assert.equal(code, 0, `${words.join(" ")}: ${stderr}`);
      return stdout;
    };
    const step = async (name: string, work: () => Promise<void>): Promise<void> => {
      await context.test(name, work);
    };
    await daemon.importBase();

    await step("status says what the daemon says", async () => {
      const status = JSON.parse(await ok("status", "--json")) as Status;
      assert.equal(status.pid, daemon.pid);
      assert.match(await ok("status"), new RegExp(`^Daemon +running, version .*, pid ${daemon.pid}, `));
      assert.equal(await ok("status", "-q"), "");
      assert.match(await ok("version"), new RegExp(`^nexusd +${status.version}$`, "m"));
      assert.deepEqual(JSON.parse(await ok("storage", "status", "--json")), await daemon.client.call("storage.status"));
    });

    await step("a VM is created, listed and shown", async () => {
      assert.match(
        await ok("vm", "create", "dev", "--memory", "256M"),
        /^dev created: 1 vCPU, 256 MiB, workspace dev\n$/,
      );
      assert.equal(await ok("vm", "ls", "-q"), "dev\n");
      assert.match(await ok("vm", "list"), /^dev +created +- /m);
      assert.deepEqual(
        JSON.parse(await ok("vm", "get", "dev", "--json")),
        await daemon.client.call("vm.get", { params: { vm: "dev" } }),
      );
      assert.match(await ok("workspace", "get", "dev"), /^Exclusive +/m);
      assert.match(await ok("image", "get", "base"), /^Workspaces +1$/m);
    });

    await step("refusals have their exit codes", async () => {
      const cases: [code: number, words: string[]][] = [
        [5, ["vm", "create", "dev"]],
        [4, ["vm", "create", "other", "--image", "none"]],
        [2, ["vm", "create", "Not_A_Name"]],
        [2, ["vm", "create", "other", "--memory", "1"]],
        [4, ["vm", "start", "none"]],
        [5, ["vm", "stop", "dev"]],
        [5, ["vm", "exec", "dev", "true"]],
        [5, ["image", "delete", "base", "--yes"]],
        [5, ["workspace", "delete", "dev", "--yes"]],
        [2, ["vm", "delete", "dev"]],
      ];
      for (const [code, words] of cases) {
        const ended = await cli(...words);
        assert.equal(ended.code, code, words.join(" "));
        assert.match(ended.stderr, /^error: /);
        assert.equal(ended.stdout, "");
      }
    });

    await step("it starts, and not twice", async () => {
      assert.match(await ok("vm", "start", "dev"), /^dev runs, its agent answered after /);
      const again = await cli("vm", "start", "dev");
      assert.deepEqual(
        [again.code, again.stderr],
        [5, 'error: cannot start VM "dev": it is already running\n  try: nexusctl vm stop dev\n'],
      );
    });

    await step("a command's outputs, code and signal are its own", async () => {
      const { code, stdout, stderr } = await cli(
        "vm",
        "exec",
        "dev",
        "--",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 7",
      );
      assert.deepEqual([code, stdout, stderr], [7, "out\n", "err\n"]);
      assert.equal((await cli("vm", "exec", "dev", "sh", "-c", "kill -USR1 $$")).code, 128 + 10);
      for (const [code, ...command] of [
        [127, "/no/such/program"],
        [127, "no-such-program"],
        [126, "/etc/passwd"],
        [126, "/etc"],
        [126, "--cwd=/no/such/directory", "true"],
      ] as const) {
        const flags = command.filter((word) => word.startsWith("--"));
        const words = command.filter((word) => !word.startsWith("--"));
        assert.equal((await cli("vm", "exec", ...flags, "dev", ...words)).code, code, command.join(" "));
      }
      const words = ["a b", "", "ü\n'\"$(x)", "--help", "--", "-x"];
      assert.equal(
        await ok("vm", "exec", "dev", "printf", "<%s>", ...words),
        words.map((word) => `<${word}>`).join(""),
      );
    });

    await step("user, directory, environment and time limit are the caller's", async () => {
      const said = await ok(
        "vm",
        "exec",
        "--user",
        "1000:1000",
        "--cwd",
        "/tmp",
        "-e",
        "A=b c",
        "--env=N=1\n2",
        "dev",
        "--",
        "sh",
        "-c",
        'id -u; pwd; echo "$A$N"',
      );
      assert.equal(said, "1000\n/tmp\nb c1\n2\n");
      const late = await cli("vm", "exec", "dev", "--timeout", "200ms", "sleep", "60");
      assert.deepEqual([late.code, late.stderr], [124, "nexusctl: ended after 0.2 s (--timeout)\n"]);
    });

    await step("stdin is passed where it is asked for, byte for byte", async () => {
      const bytes = randomBytes(5_000_000);
      const hash = createHash("sha256").update(bytes).digest("hex");
      assert.equal((await nexusctl(env, ["vm", "exec", "-i", "dev", "sha256sum"], bytes)).stdout, `${hash}  -\n`);
      assert.deepEqual(await nexusctl(env, ["vm", "exec", "dev", "cat"], "not for you"), {
        code: 0,
        signal: null,
        stdout: "",
        stderr: "",
      });
      // a command that reads none of it ends all the same
      assert.equal((await nexusctl(env, ["vm", "exec", "-i", "dev", "true"], bytes)).code, 0);
    });

    await step("--json gives the result of exec", async () => {
      const { code, stdout } = await cli(
        "vm",
        "exec",
        "--json",
        "dev",
        "--",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 3",
      );
      const { processId, ...result } = JSON.parse(stdout) as ExecResult;
      assert.ok(processId);
      assert.deepEqual(
        [code, result],
        [3, { exitCode: 3, signal: null, timedOut: false, stdout: "out\n", stderr: "err\n", truncated: false }],
      );
    });

    await step("the first signal goes to the command, the second one kills it", async () => {
      const polite = startCli(
        env,
        "vm",
        "exec",
        "dev",
        "--",
        "sh",
        "-c",
        'trap "echo bye; exit 9" TERM; echo ready; while :; do sleep 0.1; done',
      );
      await once(polite.child.stdout, "data");
      polite.child.kill("SIGTERM");
      assert.equal((await polite.ended).code, 9);
      const deaf = startCli(
        env,
        "vm",
        "exec",
        "dev",
        "--",
        "sh",
        "-c",
        'trap "echo heard" INT; echo ready; while :; do sleep 0.1; done',
      );
      await once(deaf.child.stdout, "data");
      deaf.child.kill("SIGINT");
      await once(deaf.child.stdout, "data");
      deaf.child.kill("SIGINT");
      assert.equal((await deaf.ended).code, 130);
      assert.equal((await cli("vm", "exec", "dev", "--", "pgrep", "-f", "echo [h]eard")).code, 1);
    });

    await step("a command lives through the daemon's death, and no byte is lost or repeated", async () => {
      const script = "i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); sleep 0.01; done; cat";
      const { child, ended } = startCli(env, "vm", "exec", "-i", "dev", "--", "sh", "-c", script);
      await once(child.stdout, "data");
      await restart(daemon);
      child.stdin.end("the end\n");
      const { code, stdout, stderr } = await ended;
      assert.equal(stdout, `${Array.from({ length: 40 }, (_, line) => `line ${line}\n`).join("")}the end\n`);
      assert.deepEqual([code, stderr], [0, ""]);
    });

    await step("the console and the history can be read", async () => {
      assert.equal((await ok("vm", "logs", "dev", "--tail", "1")).split("\n").length, 2);
      assert.match(await ok("vm", "logs", "dev", "--tail", "all"), /guest-agent .* ready/);
      const first = JSON.parse((await ok("vm", "logs", "dev", "--json")).split("\n")[0] ?? "") as { line: string };
      assert.equal(typeof first.line, "string");
      const history = JSON.parse(await ok("vm", "history", "dev", "--json")) as VmHistory;
      assert.deepEqual(history, await daemon.client.call("vm.history", { params: { vm: "dev" } }));
      assert.match(await ok("vm", "history", "dev"), /^boot 1 .*\n +PHASE +TIME\n[^]*kernel +[\d.]+ m?s +█/m);
    });

    await step("following the console ends with the VM", async () => {
      const { child, ended } = startCli(env, "vm", "logs", "dev", "--follow", "--tail", "all");
      await once(child.stdout, "data");
      const killed = await cli("vm", "kill", "dev");
      assert.equal(killed.code, 0);
      const { code, stdout } = await ended;
      assert.equal(code, 0);
      assert.match(stdout, /guest-agent .* ready/);
    });

    await step("several names at once, the worst code in the end", async () => {
      const { code, stdout, stderr } = await cli("vm", "start", "none", "dev");
      assert.equal(code, 4);
      assert.match(stdout, /^dev runs/);
      assert.match(stderr, /^error: cannot start VM "none": there is no such VM\n/);
      assert.equal((JSON.parse(await ok("vm", "stop", "dev", "--grace", "5", "--json")) as Vm).state, "stopped");
    });

    await step("a drive is made of a directory, used in a VM, copied and resized", async () => {
      const project = join(daemon.directory, "project");
      await mkdir(project);
      await writeFile(join(project, "note"), "from outside\n");
      assert.match(await ok("drive", "create", "src", "--from", project), /^src created from .*project: 257 MiB\n$/);
      assert.equal(await ok("drive", "create", "data", "-q", "--size", "32M"), "data\n");
      assert.equal(
        await ok("drive", "attach", "src", "dev", "--mount", "/work", "--bandwidth", "50M", "--iops", "1000"),
        "src attached to dev, on /work, at most 50 MiB/s, 1000 operations/s\n",
      );
      const attached = JSON.parse(await ok("drive", "attach", "data", "dev", "--read-only", "--json")) as Drive;
      assert.deepEqual([attached.attachment?.vmName, attached.attachment?.readOnly], ["dev", true]);
      assert.match(await ok("vm", "get", "dev"), /^Drives +src on \/work {2}vdb\n +data, read-only {2}vdc$/m);
      await ok("vm", "start", "dev");
      assert.equal(await ok("vm", "exec", "dev", "cat", "/work/note"), "from outside\n");
      const refusals: [code: number, words: string[]][] = [
        [5, ["drive", "detach", "src"]],
        [5, ["drive", "resize", "src", "--size", "1G"]],
        [5, ["drive", "create", "copy", "--snapshot-of", "src"]],
        [5, ["drive", "delete", "src", "--yes"]],
        [4, ["drive", "get", "none"]],
        [2, ["drive", "attach", "src", "dev", "--mount", "work"]],
        [2, ["drive", "create", "tiny", "--size", "1M"]],
      ];
      for (const [code, words] of refusals) assert.equal((await cli(...words)).code, code, words.join(" "));
      await ok("vm", "stop", "dev");
      assert.match(await ok("drive", "create", "copy", "--snapshot-of", "src"), /^copy created as a snapshot of src: /);
      assert.equal(await ok("drive", "resize", "src", "--size", "512M"), "src has 512 MiB\n");
      assert.match((await cli("drive", "resize", "src", "--size", "64M")).stderr, /cannot be made smaller/);
      assert.match(await ok("drive", "list"), /^src +512 MiB +dev +\/work +read-write /m);
      assert.match(await ok("drive", "get", "copy"), /^Source +src$/m);
      assert.equal(await ok("drive", "detach", "data"), "data detached\n");
    });

    await step("what is deleted is gone, and what is kept stays", async () => {
      assert.equal(await ok("vm", "delete", "dev", "--yes", "--keep-workspace"), "dev deleted\n");
      assert.equal(await ok("vm", "create", "again", "--workspace", "dev", "--start", "-q"), "again\n");
      assert.equal((await cli("vm", "delete", "again", "--yes")).code, 5);
      assert.equal(await ok("vm", "rm", "again", "--yes", "--force"), "again deleted\n");
      assert.equal(await ok("ws", "ls", "-q"), "");
      assert.equal(await ok("workspace", "create", "data", "-q"), "data\n");
      assert.equal(await ok("ws", "rm", "data", "-y"), "data deleted\n");
      assert.equal(await ok("image", "rm", "base", "-y"), "base deleted\n");
      assert.equal(await ok("drive", "rm", "src", "copy", "data", "-y", "-q"), "src\ncopy\ndata\n");
      assert.equal(await ok("drive", "ls", "-q"), "");
    });

    await step("the siblings of nexusd answer with its code", async () => {
      const { code, stdout } = await cli("doctor", "--json");
      assert.ok(code === 0 || code === 1);
      assert.ok(Array.isArray((JSON.parse(stdout) as { checks?: unknown[] }).checks ?? JSON.parse(stdout)));
    });
  });
});

/** As by `kill -9` and systemd. */
async function restart(daemon: TestDaemon): Promise<void> {
  await daemon.die();
  await daemon.start();
}
