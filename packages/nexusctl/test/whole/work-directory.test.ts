import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { withDaemon } from "@workfort/testing";
import { nexusctl } from "../helpers/run.ts";

/** work push and work pull of a directory that is no repository, against a real VM. */
async function write(path: string, text: string): Promise<void> {
  await fs.mkdir(dirname(path), { recursive: true });
  await fs.writeFile(path, text);
}

/** Kind, mode, path and link's target of all that is there, then every content. */
function treeOf(directory: string): string {
  const script = `find . -printf "%y %m %P %l\\n" | sort; find . -type f -print0 | sort -z | xargs -0 sha256sum`;
  return execFileSync("sh", ["-c", script], { cwd: directory, encoding: "utf8" });
}

interface Told {
  files: { path: string; added: number | null; deleted: number | null }[];
  leftOut: string[];
  written: boolean;
}

test("a plain directory goes into a VM, and what has changed there comes back", async (context) => {
  await withDaemon({}, async (daemon) => {
    const env = daemon.env;
    const run = (...words: string[]): ReturnType<typeof nexusctl> => nexusctl(env, words);
    const ok = async (...words: string[]): Promise<string> => {
      const { code, stdout, stderr } = await run(...words);
      assert.equal(code, 0, `${words.join(" ")}: ${stderr}`);
      return stdout;
    };
    const inGuest = (script: string): Promise<string> => ok("vm", "exec", "dev", "--", "sh", "-ec", script);
    const here = (name: string): string => join(daemon.directory, name);
    const site = here("site");
    const pull = (...words: string[]): ReturnType<typeof nexusctl> =>
      run("work", "pull", "dev:/site", "--into", site, ...words);
    const pulled = async (...words: string[]): Promise<Told> => {
      const { code, stdout, stderr } = await pull("--yes", "--json", ...words);
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout) as Told;
    };
    const step = async (name: string, work: () => Promise<void>): Promise<void> => {
      await context.test(name, work);
    };
    await daemon.importBase();
    await ok("vm", "create", "dev", "--memory", "256M", "--start");
    await write(join(site, "index.html"), "<p>one\n");
    await write(join(site, "run.sh"), "#!/bin/sh\n");
    await write(join(site, "deep/er/gone"), "to be deleted\n");
    await write(join(site, "deep/kept"), "kept\n");
    await write(join(site, ".gitattributes"), "*.txt eol=crlf\n");
    await write(join(site, ".gitignore"), "ignored.txt\n");
    await write(join(site, "ignored.txt"), "line\n");
    await fs.symlink("index.html", join(site, "link"));
    await fs.chmod(join(site, "deep/kept"), 0o640);
    await ok("work", "push", site, "dev:/site");

    await step("nothing has changed", async () => {
      assert.deepEqual(await pulled(), { files: [], leftOut: [], written: false });
    });

    await step("changes are shown, and written only when that is wanted", async () => {
      await inGuest(
        `cd /site; echo '<p>two' >index.html; chmod +x run.sh deep/kept; rm -r deep/er; mkdir -p new/dir;
         echo fresh >new/dir/'odd "name"'; printf 'a\\0b' >new/binary; echo line2 >>ignored.txt; ln -sfn deep link`,
      );
      const before = treeOf(site);
      const { code, stdout, stderr } = await pull();
      assert.equal(code, 2);
      assert.match(stderr, /refusing to write them to .* without confirmation/);
      assert.match(stdout, /^-<p>one\n\+<p>two$/m);
      assert.match(stdout, /8 files changed, /);
      await ok("work", "pull", "dev:/site", "--into", site, "--patch", here("site.patch"));
      assert.equal(treeOf(site), before);
      const copy = here("copy");
      await fs.cp(site, copy, { recursive: true, verbatimSymlinks: true });
      execFileSync("git", ["apply", here("site.patch")], { cwd: copy });

      const told = await pulled();
      assert.equal(told.written, true);
      assert.deepEqual(
        told.files.map(({ path, added, deleted }) => [path, added, deleted]),
        [
          ["deep/er/gone", 0, 1],
          ["deep/kept", 0, 0],
          ["ignored.txt", 1, 0],
          ["index.html", 1, 1],
          ["link", 1, 1],
          ["new/binary", null, null],
          ['new/dir/odd "name"', 1, 0],
          ["run.sh", 0, 0],
        ],
      );
      const contents = (directory: string): string => treeOf(directory).replace(/^[fdl] \d+ /gm, "");
      assert.equal(contents(site), contents(copy), "as git apply does it");
      const modeOf = async (name: string): Promise<number> => (await fs.stat(join(site, name))).mode & 0o777;
      assert.deepEqual([await modeOf("deep/kept"), await modeOf("run.sh")], [0o750, 0o755]);
      assert.deepEqual((await pulled()).files, []);
    });

    await step("a file may become a directory, and a directory a file", async () => {
      await inGuest("cd /site; rm run.sh; mkdir run.sh; echo in >run.sh/inner; rm -r new; echo flat >new");
      await pulled();
      assert.equal(await fs.readFile(join(site, "run.sh/inner"), "utf8"), "in\n");
      assert.equal(await fs.readFile(join(site, "new"), "utf8"), "flat\n");
    });

    await step(
      "nothing is written through a link of this host's, nor into a repository of the guest's making",
      async () => {
        const outside = here("outside");
        await fs.mkdir(outside);
        await fs.symlink(outside, join(site, "way"));
        await inGuest(
          "cd /site; mkdir -p way n/.git/hooks; echo out >way/file; echo x >n/file; echo evil >n/.git/hooks/post-checkout",
        );
        const told = await pulled();
        assert.deepEqual(await fs.readdir(outside), []);
        assert.equal(
          (await fs.lstat(join(site, "way"))).isDirectory(),
          true,
          "the link was a file that the guest has not",
        );
        assert.match(told.leftOut.join(), /n\/\.git: a repository of its own/);
        assert.deepEqual(await fs.readdir(join(site, "n")), ["file"]);
      },
    );

    await step("what cannot be is refused, and leaves nothing", async () => {
      const branch = await pull("--yes", "--branch", "x");
      assert.equal(branch.code, 2);
      assert.match(branch.stderr, /has no branches/);
      const unnamed = await run("work", "pull", "dev:/site", "--yes");
      assert.equal(unnamed.code, 2);
      assert.match(unnamed.stderr, /in no git repository.*--into DIRECTORY/s);
      const nowhere = await run("work", "pull", "dev:/site", "--into", here("nowhere"));
      assert.equal(nowhere.code, 2);
      assert.match(nowhere.stderr, /is no directory/);
      const left = (await fs.readdir(tmpdir())).filter((name) => /^workfort-(push|pull)-/.test(name));
      assert.deepEqual(left, []);
    });
  });
});
