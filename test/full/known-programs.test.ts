import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { bootstrapDebian } from "@workfort/host/assets/debian-rootfs.ts";
import { buildExt4 } from "@workfort/host/images/ext4.ts";
import { runTool } from "@workfort/host/process/run.ts";
import { checkout, eventually, withDaemon, type TestDaemon } from "@workfort/testing";

/** Programs that people know, which nobody here wrote, through `vm exec` and `vm attach`. */
const packages = ["bash-completion", "git", "htop", "rsync", "tmux", "vim"];
const nexusctl = join(checkout, "bin/nexusctl");

async function startDev(daemon: TestDaemon): Promise<void> {
  const { signal } = new AbortController();
  const [tar, image] = [join(daemon.directory, "dev.tar"), join(daemon.directory, "dev.ext4")];
  await bootstrapDebian(tar, { signal, onProgress: () => {} }, packages);
  await buildExt4({ source: { tar }, target: image, sizeBytes: 3 * 1024 ** 3, label: "dev", signal });
  await daemon.client.call("image.import", { body: { name: "dev", source: image } });
  await daemon.client.call("vm.create", { body: { name: "dev", image: "dev", memoryMiB: 512 } });
  await daemon.client.call("vm.start", { params: { vm: "dev" }, body: {} });
}

/** What lies in a tree: kind, mode, link's target, content. */
async function treeOf(directory: string): Promise<string> {
  const script = 'find . -printf "%y %m %P %l\\n" | sort; find . -type f | sort | xargs sha256sum';
  return (await runTool(["sh", "-c", `cd "$0" && ${script}`, directory])).stdout;
}

/** A terminal emulator on the host, in which `nexusctl` runs: tmux, asked for its screen. */
class Emulator {
  readonly #env: Record<string, string>;
  readonly #socket: string;

  private constructor(daemon: TestDaemon) {
    this.#env = { ...daemon.env, TERM: "xterm-256color", LC_ALL: "C.UTF-8" };
    this.#socket = join(daemon.directory, "tmux");
  }

  static async open(daemon: TestDaemon, command: string): Promise<Emulator> {
    const emulator = new Emulator(daemon);
    await emulator.#tmux("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", command);
    return emulator;
  }

  async type(...keys: string[]): Promise<void> {
    await this.#tmux("send-keys", ...keys);
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux("resize-window", "-x", String(columns), "-y", String(rows));
  }

  async shows(wanted: RegExp): Promise<string> {
    return await eventually(
      () => this.#tmux("capture-pane", "-p"),
      (screen) => wanted.test(screen),
      60_000,
    );
  }

  async close(): Promise<void> {
    await this.#tmux("kill-server");
  }

  async #tmux(...words: string[]): Promise<string> {
    return (await runTool(["tmux", "-S", this.#socket, ...words], { env: this.#env })).stdout;
  }
}

test("rsync, git, tmux, vim, htop and bash's completion", async (context) => {
  await withDaemon({}, async (daemon) => {
    await startDev(daemon);
    const run = async (argv: [string, ...string[]]): Promise<string> =>
      (await runTool(argv, { env: daemon.env, timeoutMs: 300_000 })).stdout;
    const inGuest = (script: string): Promise<string> => run([nexusctl, "vm", "exec", "dev", "--", "sh", "-c", script]);

    await context.test("rsync takes a tree into a VM and brings it back", async () => {
      const [from, back] = [join(daemon.directory, "from"), join(daemon.directory, "back")];
      await fs.mkdir(join(from, "deep/er"), { recursive: true });
      await fs.writeFile(join(from, "deep/er/large"), Buffer.alloc(5_000_000, "workfort "));
      await fs.writeFile(join(from, "run me"), "#!/bin/sh\n", { mode: 0o755 });
      await fs.symlink("deep/er", join(from, "link"));
      const rsync = ["rsync", "--archive", "--delete", "--rsh", `${nexusctl} vm exec -i`] as const;
      await run([...rsync, `${from}/`, "dev:/srv/tree/"]);
      await fs.appendFile(join(from, "deep/er/large"), "and more");
      await fs.rm(join(from, "run me"));
      const said = await run([...rsync, "--stats", `${from}/`, "dev:/srv/tree/"]);
      const [, literal = ""] = /Literal data: ([\d,]+) bytes/.exec(said) ?? [];
      assert.ok(Number(literal.replaceAll(",", "")) < 100_000, `only what differs is sent: ${said}`);
      await run([...rsync, "dev:/srv/tree/", `${back}/`]);
      assert.equal(await treeOf(back), await treeOf(from));
    });

    await context.test("git fetches from a VM and pushes to it", async () => {
      const clone = join(daemon.directory, "clone");
      const as = "-c user.name=a -c user.email=a@localhost";
      await inGuest(
        `git init -q -b main /srv/repo && cd /srv/repo && echo one > file && git add . && git ${as} commit -qm one`,
      );
      const git = ["git", "-c", "protocol.ext.allow=always"] as const;
      await run([...git, "clone", "--quiet", `ext::${nexusctl} vm exec -i dev %S /srv/repo`, clone]);
      assert.equal(await fs.readFile(join(clone, "file"), "utf8"), "one\n");
      await fs.writeFile(join(clone, "file"), "two\n");
      await run(["sh", "-c", `cd "$0" && git ${as} commit -qam two`, clone]);
      await run([...git, "-C", clone, "push", "--quiet", "origin", "main:from-host"]);
      assert.equal(await inGuest("git -C /srv/repo show from-host:file"), "two\n");
    });

    await context.test("at a terminal", async () => {
      const screen = await Emulator.open(daemon, `${nexusctl} vm attach dev -- bash -l`);
      try {
        await screen.shows(/root@dev:~# *$/m);
        // the name of a program, of a file, and of git's own command
        await screen.type("htop --ver", "Tab", "Enter");
        await screen.shows(/--version *\n(.*\n)*htop \d/);
        await screen.type("ls /etc/debian_v", "Tab", "Enter");
        await screen.shows(/\/etc\/debian_version *\n\/etc\/debian_version/);
        await screen.type("git checko", "Tab");
        await screen.shows(/# git checkout/);
        await screen.type("C-c", "clear", "Enter");

        await screen.type("vim -u NONE -N /srv/text", "Enter");
        await screen.shows(/"\/srv\/text" \[New\]/);
        await screen.type("i", "a tree: \u{1F333} and äöü", "Escape", "yy", "3p", ":set number", "Enter");
        await screen.shows(/4 a tree: \u{1F333} and äöü/u);
        // drawn anew whenever the window has another size
        await screen.type(":set laststatus=2 statusline=%{&columns}x%{&lines}", "Enter");
        await screen.shows(/100x30/);
        await screen.resize(70, 20);
        await screen.shows(/70x20/);
        await screen.type(":wq", "Enter");
        await screen.shows(/root@dev:~# *$/m);
        assert.equal(await inGuest("grep -c äöü /srv/text"), "4\n");
        await screen.resize(100, 30);

        await screen.type("htop", "Enter");
        await screen.shows(/Tasks: [^]*workfort-agent|Tasks: [^]*F10/);
        await screen.type("q");

        await screen.type("tmux -u", "Enter");
        await screen.shows(/\[0\] 0:bash\*/);
        await screen.type("C-b", "%");
        await screen.shows(/│/);
        await screen.type("echo ri''ght", "Enter");
        await screen.shows(/│right/);
        await screen.type("C-b", "d");
        await screen.shows(/\[detached \(from session 0\)\]/);
        await screen.type("exit", "Enter");
        await eventually(
          () => run([nexusctl, "vm", "terminal", "list", "dev"]),
          (list) => /^main +exit 0 /m.test(list),
        );
      } finally {
        await screen.close().catch(() => {}); // it ends with its last command
      }
    });
  });
});
