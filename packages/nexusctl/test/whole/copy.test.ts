import assert from "node:assert/strict";
import { once } from "node:events";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { eventually, withDaemon } from "@workfort/testing";
import { nexusctl, startCli } from "../helpers/run.ts";

/** vm cp and the file commands, against a real VM. */
test("copying with nexusctl", async (context) => {
  await withDaemon({}, async (daemon) => {
    const env = daemon.env;
    const ok = async (words: string[], input: string | Buffer = ""): Promise<string> => {
      const { code, stdout, stderr } = await nexusctl(env, words, input);
      assert.equal(code, 0, `${words.join(" ")}: ${stderr}`);
      return stdout;
    };
    const inGuest = (script: string): Promise<string> => ok(["vm", "exec", "dev", "--", "sh", "-ec", script]);
    const here = (name: string): string => join(daemon.directory, name);
    const step = async (name: string, work: () => Promise<void>): Promise<void> => {
      await context.test(name, work);
    };
    await daemon.importBase();
    await ok(["vm", "create", "dev", "--memory", "256M", "--start"]);
    await fs.mkdir(here("tree/deep"), { recursive: true });
    const content = randomBytes(3_000_000);
    await fs.writeFile(here("tree/deep/file"), content, { mode: 0o750 });
    await fs.symlink("deep/file", here("tree/link"));

    await step("a file goes in, out, and through pipes", async () => {
      await ok(["vm", "cp", here("tree/deep/file"), "dev:/srv"]);
      assert.equal(await inGuest("stat -c '%a %s' /srv/file"), "750 3000000\n");
      assert.match(await ok(["vm", "cp", "dev:/srv/file", here("back")]), /back {2}1 file, 2\.9 MiB\n$/);
      assert.ok((await fs.readFile(here("back"))).equals(content));
      assert.equal((await fs.stat(here("back"))).mode & 0o7777, 0o750);
      await ok(["vm", "cp", "-", "dev:note"], "from a pipe\n");
      assert.equal(await ok(["vm", "cp", "dev:/root/note", "-"]), "from a pipe\n");
    });

    await step("a directory goes in and out, into a directory where there is one", async () => {
      await ok(["vm", "cp", here("tree"), "dev:/srv"]);
      assert.equal(await inGuest("cd /srv/tree; readlink link; stat -c %a deep/file"), "deep/file\n750\n");
      await ok(["vm", "cp", "dev:/srv/tree", here("new")]);
      const told = JSON.parse(await ok(["vm", "cp", "--json", "dev:/srv/tree", here("new")])) as { copied: unknown[] };
      const to = here("new/tree");
      const expected = {
        files: 1,
        directories: 1,
        links: 1,
        bytes: 3_000_000,
        leftOut: [],
        from: "dev:/srv/tree",
        to,
        resumedAt: 0,
      };
      assert.deepEqual(told.copied, [expected]);
      for (const name of ["new", "new/tree"]) {
        assert.ok((await fs.readFile(here(`${name}/link`))).equals(content));
        assert.equal(await fs.readlink(here(`${name}/link`)), "deep/file");
      }
    });

    const large = 60_000_000;
    const draft = async (directory: string): Promise<string | undefined> =>
      (await fs.readdir(directory)).find((name) => name.startsWith(".workfort-"));
    /** Resolves when a part of a file has come. */
    const begun = (directory: string): Promise<unknown> =>
      eventually(
        async () => {
          const name = await draft(directory);
          return name === undefined ? 0 : (await fs.stat(join(directory, name)).catch(() => null))?.size;
        },
        (size) => (size ?? 0) > 1_000_000,
      );
    const assertLarge = async (path: string): Promise<void> => {
      const sum = await inGuest("sha256sum </srv/large");
      const here = createHash("sha256")
        .update(await fs.readFile(path))
        .digest("hex");
      assert.equal(`${here}  -\n`, sum);
    };

    await step("a file goes on over the death of the daemon", async () => {
      await inGuest(`head -c ${large} /dev/urandom >/srv/large`);
      await fs.mkdir(here("over"));
      const copying = nexusctl(env, ["vm", "cp", "dev:/srv/large", here("over/large")]);
      await begun(here("over"));
      await daemon.die();
      await daemon.start();
      const { code, stderr } = await copying;
      assert.equal(code, 0, stderr);
      await assertLarge(here("over/large"));
      assert.equal(await draft(here("over")), undefined);
    });

    await step("--resume goes on with what an interruption has left, and only with the same file", async () => {
      const directory = here("resumed");
      await fs.mkdir(directory);
      const words = ["vm", "cp", "--resume", "--json", "dev:/srv/large", join(directory, "large")];
      const interrupt = async (): Promise<void> => {
        const { child, ended } = startCli(env, ...words);
        await begun(directory);
        await daemon.client.call("vm.pause", { params: { vm: "dev" } }); // or it may have come to its end meanwhile
        child.kill("SIGKILL");
        await ended;
        await daemon.client.call("vm.resume", { params: { vm: "dev" } });
      };
      await interrupt();
      const left = (await fs.stat(join(directory, (await draft(directory)) ?? ""))).size;
      const told = JSON.parse(await ok(words)) as { copied: { bytes: number; resumedAt: number }[] };
      assert.deepEqual([told.copied[0]?.bytes, told.copied[0]?.resumedAt], [large, left]);
      await assertLarge(join(directory, "large"));
      assert.equal(await draft(directory), undefined);

      await interrupt();
      await inGuest("echo more >>/srv/large");
      const anew = JSON.parse(await ok(words)) as typeof told;
      assert.equal(anew.copied[0]?.resumedAt, 0);
      await assertLarge(join(directory, "large"));
      assert.deepEqual(await fs.readdir(directory), ["large"]);
      for (const places of [
        ["dev:/srv/tree", directory],
        [here("tree"), "dev:/srv"],
        ["-", "dev:/srv/x"],
      ]) {
        const { code, stderr } = await nexusctl(env, ["vm", "cp", "--resume", ...places]);
        assert.equal(code, 2);
        assert.match(stderr, /--resume goes on with files.*rsync/s);
      }
      await inGuest("rm /srv/large; mkdir /srv/into");
    });

    await step("into a VM it is the same", async () => {
      const from = here("resumed/large");
      const begun = (): Promise<unknown> =>
        eventually(
          () => daemon.client.call("vm.files.list", { params: { vm: "dev" }, query: { path: "/srv/into" } }),
          ({ entries }) =>
            entries.some(({ path, sizeBytes }) => path.includes(".workfort-draft-") && sizeBytes > 1_000_000),
        );
      const assertThere = async (): Promise<void> => {
        const sum = createHash("sha256")
          .update(await fs.readFile(from))
          .digest("hex");
        assert.equal(await inGuest("cd /srv/into; ls -A; sha256sum <large"), `large\n${sum}  -\n`);
      };
      const copying = nexusctl(env, ["vm", "cp", from, "dev:/srv/into/large"]);
      await begun();
      await daemon.die();
      await daemon.start();
      const { code, stderr } = await copying;
      assert.equal(code, 0, stderr);
      await assertThere();

      const words = ["vm", "cp", "--resume", from, "dev:/srv/into/large"];
      const { child, ended } = startCli(env, ...words);
      await begun();
      await daemon.client.call("vm.pause", { params: { vm: "dev" } }); // or it may have come to its end meanwhile
      child.kill("SIGINT");
      const interrupted = await ended;
      await daemon.client.call("vm.resume", { params: { vm: "dev" } });
      assert.equal(interrupted.code, 130);
      assert.match(interrupted.stderr, /^nexusctl: interrupted; what has come is kept, and the same command goes on/m);
      assert.match(await ok(words), /^dev:\/srv\/into\/large {2}1 file, .*, of which [\d.]+ [KM]iB were there\n$/);
      await assertThere();
    });

    await step("what the guest made is not followed here", async () => {
      await fs.mkdir(here("outside"));
      await inGuest(`mkdir -p /srv/evil; ln -s '${here("outside")}' /srv/evil/d; mkfifo /srv/evil/fifo`);
      const { stderr } = await nexusctl(env, ["vm", "cp", "dev:/srv/evil", here("evil")]);
      assert.match(stderr, /fifo is left out/);
      await inGuest("rm /srv/evil/d; mkdir /srv/evil/d; echo x >/srv/evil/d/new");
      const { code } = await nexusctl(env, ["vm", "cp", "dev:/srv/evil/.", here("evil")]);
      assert.equal(code, 1, "the link from before is in the way");
      assert.deepEqual(await fs.readdir(here("outside")), []);
    });

    await step("files are shown, written, changed and searched", async () => {
      const file = (...words: string[]): Promise<string> => ok(["vm", "file", ...words]);
      await file("mkdir", "dev:/srv/f/g", "--parents", "--mode", "0700");
      const words = ["vm", "file", "write", "dev:/srv/f/g/one", "--mode", "0600"];
      assert.equal(await ok(words, "the one\n"), "/srv/f/g/one  8 B\n");
      assert.equal(await file("read", "dev:/srv/f/g/one"), "the one\n");
      assert.match(
        await file("list", "dev:/srv/f", "--depth", "2"),
        /^0700 directory +0:0 .* g\n0600 file .* 8 B .* g\/one$/m,
      );
      assert.match(await file("stat", "dev:/srv/f/g/one"), /^Mode +0600$/m);
      assert.equal(await file("search", "dev:/srv/f", "o[n]e"), "g/one:1: the one\n");
      assert.equal(await file("search", "dev:/srv/f", "--name", "o*"), "g/one\n");
      await file("mv", "dev:/srv/f/g/one", "dev:/srv/f/two");
      assert.deepEqual(JSON.parse(await file("list", "dev:/srv/f", "--json")).entries.length, 2);
      const watching = startCli(env, "vm", "file", "watch", "dev:/srv/f");
      const [first] = (await once(watching.child.stdout, "data")) as [Buffer];
      assert.match(first.toString(), /^watching/);
      await file("rm", "dev:/srv/f", "--recursive");
      const { code, stdout } = await watching.ended;
      assert.equal(code, 0);
      assert.match(stdout, /^deleted +two$/m);
      assert.equal((await nexusctl(env, ["vm", "file", "stat", "dev:/srv/f"])).code, 4);
      assert.equal((await nexusctl(env, ["vm", "file", "stat", "/srv"])).code, 2);
    });

    await step("what cannot be copied says why", async () => {
      const cases: [code: number, words: string[]][] = [
        [4, ["vm", "cp", "dev:/none", here("x")]],
        [4, ["vm", "cp", here("tree"), "dev:/none/such/place"]],
        [1, ["vm", "cp", here("none"), "dev:/srv"]],
        [2, ["vm", "cp", here("tree"), here("x")]],
        [2, ["vm", "cp", "dev:/srv", "-"]],
        [2, ["vm", "cp", "dev:/etc/hostname", here("no-directory/")]],
        [2, ["vm", "cp", here("back"), here("tree"), "dev:/srv/file"]],
        [4, ["vm", "cp", here("back"), "other:/srv"]],
        [1, ["vm", "cp", "-u", "nobody", here("back"), "dev:/srv"]],
      ];
      for (const [code, words] of cases) {
        const ended = await nexusctl(env, words);
        assert.equal(ended.code, code, `${words.join(" ")}: ${ended.stderr}`);
      }
    });

    await step("an interrupt leaves no half file, here or there", async () => {
      await inGuest("truncate -s 500G /srv/huge");
      const out = startCli(env, "vm", "cp", "dev:/srv/huge", here("huge"));
      await eventually(
        () => fs.readdir(daemon.directory),
        (names) => names.some((name) => name.startsWith(".workfort-")),
      );
      out.child.kill("SIGINT");
      assert.equal((await out.ended).code, 130);
      assert.deepEqual(
        (await fs.readdir(daemon.directory)).filter((name) => /huge|\.workfort-/.test(name)),
        [],
      );
      const into = startCli(env, "vm", "cp", "-", "dev:/srv/half");
      into.child.stdin.write("half");
      await eventually(
        () => inGuest("ls -A /srv"),
        (names) => names.includes(".workfort-"),
      );
      into.child.kill("SIGINT");
      const [code] = (await once(into.child, "close")) as [number];
      assert.equal(code, 130);
      await eventually(
        () => inGuest("ls -A /srv"),
        (names) => !/half|\.workfort-/.test(names),
      );
    });
  });
});
