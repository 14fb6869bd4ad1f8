import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { withDaemon } from "@workfort/testing";
import { nexusctl } from "../helpers/run.ts";

/** work push and work pull against a real VM and a real git; the guest has no git, and needs none. */
const identity = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" };
const names = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"];

function git(directory: string, ...words: string[]): string {
  return execFileSync("git", ["-C", directory, ...names, ...words], {
    encoding: "utf8",
    env: { ...process.env, ...identity },
    stdio: ["ignore", "pipe", "pipe"],
  }).trim();
}

async function write(path: string, text: string): Promise<void> {
  await fs.mkdir(dirname(path), { recursive: true });
  await fs.writeFile(path, text);
}

test("work goes into a VM and comes back", async (context) => {
  await withDaemon({}, async (daemon) => {
    const env = { ...daemon.env, ...identity };
    const run = (...words: string[]): ReturnType<typeof nexusctl> => nexusctl(env, words);
    const ok = async (...words: string[]): Promise<string> => {
      const { code, stdout, stderr } = await run(...words);
      assert.equal(code, 0, `${words.join(" ")}: ${stderr}`);
      return stdout;
    };
    const inGuest = (script: string): Promise<string> => ok("vm", "exec", "dev", "--", "sh", "-ec", script);
    const here = (name: string): string => join(daemon.directory, name);
    const step = async (name: string, work: () => Promise<void>): Promise<void> => {
      await context.test(name, work);
    };
    await daemon.importBase();
    await ok("vm", "create", "dev", "--memory", "256M", "--start");

    const repo = here("repo");
    await fs.mkdir(repo);
    git(repo, "init", "--quiet");
    await write(join(repo, "src/main.c"), "int main;\n");
    await write(join(repo, ".gitignore"), "secret\n");
    await fs.symlink("src/main.c", join(repo, "link"));
    git(repo, "add", "--all");
    git(repo, "commit", "--quiet", "-m", "first");
    git(repo, "remote", "add", "origin", "https://token@example.org/x.git");
    git(repo, "config", "credential.helper", "store");
    await write(join(repo, ".git/hooks/post-checkout"), "#!/bin/sh\ntouch /tmp/never\n");
    await write(join(repo, "secret"), "of the host\n");
    await write(join(repo, "new file"), "not committed\n");
    const first = git(repo, "rev-parse", "HEAD");

    await step("a repository goes in with its history and what is not committed, and with no secret", async () => {
      const told = JSON.parse(await ok("work", "push", join(repo, "src"), "dev:/work", "--json")) as { commit: string };
      assert.equal(told.commit, first);
      const { mode } = await fs.stat(repo);
      assert.equal(await inGuest("stat -c %a /work"), `${(mode & 0o777).toString(8)}\n`);
      const listed = await inGuest("cd /work; find . -path ./.git -prune -o -print | sort; readlink link");
      assert.equal(
        listed,
        "./.gitignore\n./link\n./new file\n./src\n./src/main.c\n".replace(/^/, ".\n") + "src/main.c\n",
      );
      assert.doesNotMatch(
        await inGuest("cat /work/.git/config; ls /work/.git/hooks 2>&1 || true"),
        /token|credential|post-/,
      );
      const { code, stderr } = await run("work", "push", repo, "dev:/work");
      assert.equal(code, 2, stderr);
      assert.match(stderr, /dev:\/work is not empty/);
      await ok("work", "push", repo, "dev:/work", "--replace");
    });

    await step(
      "what the guest has committed and what it has not come back as a branch; the work tree stays",
      async () => {
        // the guest's git, as it were
        const guest = here("guest");
        await ok("vm", "cp", "dev:/work/.", guest);
        await write(join(guest, "src/main.c"), "int main;\nint more;\n");
        git(guest, "commit", "--quiet", "--all", "-m", "second");
        git(guest, "gc", "--quiet");
        await write(join(guest, "src/third.c"), "\u001b[2Jint third;\n");
        await inGuest("rm -rf /work");
        await ok("vm", "cp", guest, "dev:/work");
        const before = git(repo, "status", "--porcelain");
        const told = JSON.parse(await ok("work", "pull", "dev:/work", "--into", repo, "--yes", "--json")) as {
          branch: string;
          base: string;
          commit: string;
          hasUncommitted: boolean;
          files: { path: string; added: number }[];
        };
        assert.deepEqual([told.branch, told.base, told.hasUncommitted], ["work/dev", first, true]);
        assert.deepEqual(
          told.files.map(({ path, added }) => [path, added]),
          [
            ["new file", 1],
            ["src/main.c", 1],
            ["src/third.c", 1],
          ],
        );
        assert.equal(
          git(repo, "log", "--format=%s", "work/dev"),
          "Work in dev:/work that was not committed\nsecond\nfirst",
        );
        assert.equal(git(repo, "rev-parse", "work/dev"), told.commit);
        assert.equal(git(repo, "status", "--porcelain"), before);
        assert.equal(git(repo, "rev-parse", "HEAD"), first);

        const { code, stdout, stderr } = await run(
          "work",
          "pull",
          "dev:/work",
          "--into",
          repo,
          "--patch",
          here("fix.patch"),
        );
        assert.equal(code, 0, stderr);
        assert.match(stdout, /\\x1b\[2Jint third;/);
        assert.match(stdout, /3 files changed, 3 lines added, 0 deleted, some of it not committed\n$/);
        git(repo, "apply", "--check", "--exclude=new file", here("fix.patch"));
        const asked = await run("work", "pull", "dev:/work", "--into", repo, "--branch", "other");
        assert.equal(asked.code, 2);
        assert.match(asked.stderr, /refusing to make branch other without confirmation/);
        assert.match(asked.stderr, /--into .* --branch other --yes$/m);
      },
    );

    await step("nothing that the guest wrote is executed, followed or believed", async () => {
      const marks = here("marks");
      await fs.mkdir(marks);
      const evil = here("evil");
      await fs.rm(evil, { recursive: true, force: true });
      git(daemon.directory, "clone", "--quiet", repo, evil);
      const mark = (name: string): string => `touch ${join(marks, name)}`;
      for (const [key, value] of Object.entries({
        "core.fsmonitor": mark("fsmonitor"),
        "core.sshCommand": mark("ssh"),
        "core.hooksPath": ".git/hooks",
        "filter.x.clean": mark("clean"),
        "diff.x.textconv": mark("textconv"),
        "uploadpack.packObjectsHook": mark("pack"),
        "core.worktree": repo,
      }))
        git(evil, "config", key, value);
      await write(join(evil, ".gitattributes"), "* filter=x diff=x\n");
      await write(join(evil, ".gitmodules"), `[submodule "s"]\n\tpath = s\n\turl = ext::sh -c ${mark("submodule")}\n`);
      for (const hook of ["post-checkout", "reference-transaction", "pre-commit", "post-index-change"]) {
        await write(join(evil, ".git/hooks", hook), `#!/bin/sh\n${mark(hook)}\n`);
        await fs.chmod(join(evil, ".git/hooks", hook), 0o755);
      }
      await write(join(evil, "nested/.git/config"), `[core]\n\tfsmonitor = ${mark("nested")}\n`);
      await write(join(evil, "nested/.git/HEAD"), "ref: refs/heads/main\n");
      await write(join(evil, "nested/file"), "x\n");
      await write(join(evil, ".git/objects/info/alternates"), `${join(repo, ".git/objects")}\n`);
      await fs.symlink(repo, join(evil, "out"));
      await inGuest("rm -rf /work");
      await ok("vm", "cp", evil, "dev:/work");
      const told = JSON.parse(
        await ok("work", "pull", "dev:/work", "--into", repo, "--branch", "evil", "--yes", "--json"),
      ) as {
        files: { path: string }[];
      };
      assert.deepEqual(
        told.files.map(({ path }) => path),
        [".gitattributes", ".gitmodules", "nested/file", "out"],
      );
      assert.equal(git(repo, "show", "evil:out"), repo, "a link is a link");
      assert.deepEqual(await fs.readdir(marks), []);
    });

    await step("a repository that is none, or is not sound, is refused and leaves nothing", async () => {
      const branches = git(repo, "branch", "--list");
      const cases: [script: string, words: RegExp][] = [
        ["rm /work/.git/HEAD", /has no HEAD/],
        ["echo 'ref: ../../../etc/passwd' > /work/.git/HEAD", /neither a branch nor a commit/],
        [`echo ${"a".repeat(40)} > /work/.git/HEAD`, /not sound/],
        [`rm -rf /work/.git/objects; ln -s ${join(repo, ".git/objects")} /work/.git/objects`, /not sound/],
        ["rm -rf /work/.git; echo gitdir: /etc > /work/.git", /is no directory/],
        ["rm -rf /work/.git", /is no git repository/],
      ];
      for (const [script, words] of cases) {
        await inGuest("rm -rf /work");
        await ok("work", "push", repo, "dev:/work");
        await inGuest(script);
        const { code, stderr } = await run("work", "pull", "dev:/work", "--into", repo, "--branch", "bad", "--yes");
        assert.notEqual(code, 0, script);
        assert.match(stderr, words);
      }
      assert.equal(git(repo, "branch", "--list"), branches);
      const left = (await fs.readdir(tmpdir())).filter((name) => /^workfort-(push|pull)-/.test(name));
      assert.deepEqual(left, []);
    });

    await step("a plain directory goes in as it is", async () => {
      await write(here("plain/deep/file"), "plain\n");
      await ok("work", "push", here("plain"), "dev:/srv/plain");
      assert.equal(await inGuest("cat /srv/plain/deep/file; ls -A /srv/plain"), "plain\ndeep\n");
      const { code, stderr } = await run("work", "pull", "dev:/srv/plain", "--into", repo, "--yes");
      assert.equal(code, 2);
      assert.match(stderr, /vm cp dev:\/srv\/plain/);
    });
  });
});
