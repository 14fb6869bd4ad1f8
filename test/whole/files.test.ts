import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import type { FileChange } from "@workfort/contract";
import { assertTidy, eventually, refusal, withDaemon, type TestDaemon } from "@workfort/testing";

/** Files of a real guest, by the API. */

const params = { vm: "dev" };
const mebibyte = 1024 ** 2;

const sh = async (daemon: TestDaemon, script: string): Promise<string> => {
  const result = await daemon.client.call("vm.exec", { params, body: { argv: ["sh", "-ec", script] } });
  assert.equal(result.exitCode, 0, result.stderr);
  return result.stdout.trim();
};

async function read(daemon: TestDaemon, path: string, more: object = {}): Promise<Buffer> {
  const { body } = await daemon.client.bytes("vm.files.read", { params, query: { path, ...more } });
  return Buffer.concat(await Array.fromAsync(body));
}

async function* slices(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
}

test("files of a VM", async (context) => {
  await withDaemon({}, async (daemon) => {
    const { client } = daemon;
    const step = async (name: string, work: () => Promise<void>): Promise<void> => {
      await context.test(name, work);
    };
    await daemon.importBase();
    await client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
    assert.equal((await refusal(client.call("vm.files.stat", { params, query: { path: "/" } }))).code, "wrong_state");
    await client.call("vm.start", { params, body: {} });

    await step("content goes in and out unchanged", async () => {
      const content = randomBytes(8 * mebibyte);
      const query = { path: "/srv/deep/er/ä b&c", parents: "true", mode: "0640" } as const;
      const written = await client.send("vm.files.write", { params, query }, slices(content));
      assert.deepEqual(written, { path: query.path, sizeBytes: content.length, created: true });
      const digest = createHash("sha256").update(content).digest("hex");
      assert.equal(await sh(daemon, "sha256sum <'/srv/deep/er/ä b&c' | cut -d' ' -f1"), digest);
      assert.equal(await sh(daemon, "stat -c %a '/srv/deep/er/ä b&c'"), "640");
      assert.ok((await read(daemon, query.path)).equals(content));
      const part = await read(daemon, query.path, { offset: "1000000", length: "5" });
      assert.ok(part.equals(content.subarray(1_000_000, 1_000_005)));
      const { headers, body } = await client.bytes("vm.files.read", { params, query: { path: query.path } });
      await Array.fromAsync(body);
      assert.equal(headers["workfort-size"], String(content.length));
      assert.equal(headers["workfort-mode"], "0640");
    });

    await step("a reader who takes nothing is waited for, and the daemon does not grow", async () => {
      await sh(daemon, "truncate -s 1T /srv/huge");
      const { body } = await client.bytes("vm.files.read", { params, query: { path: "/srv/huge" } });
      const chunks = body[Symbol.asyncIterator]();
      await chunks.next();
      await sh(daemon, "sleep 1"); // the line is free for others
      const resident = await residentMiB(daemon.pid);
      assert.ok(resident < 400, `${resident} MiB`);
      await chunks.return?.();
      await eventually(
        () => sh(daemon, "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -c '^--file[-]worker' || true"),
        (count) => count === "0",
      );
    });

    await step("what the guest refuses has a code of its own", async () => {
      const codeOf = async (work: Promise<unknown>): Promise<string> => (await refusal(work)).code;
      const query = (path: string, user?: string) => ({
        params,
        query: { path, ...(user === undefined ? {} : { user }) },
      });
      await sh(daemon, "mkfifo /srv/fifo; touch /srv/mine; chmod 600 /srv/mine");
      assert.equal(await codeOf(client.call("vm.files.stat", query("/srv/none"))), "not_found");
      assert.equal(await codeOf(client.bytes("vm.files.read", query("/srv"))), "is_a_directory");
      assert.equal(await codeOf(client.bytes("vm.files.read", query("/srv/fifo"))), "not_a_file");
      assert.equal(await codeOf(client.bytes("vm.files.read", query("/srv/mine/x"))), "not_a_directory");
      assert.equal(await codeOf(client.bytes("vm.files.read", query("/srv/mine", "nobody"))), "permission_denied");
      assert.equal(
        await codeOf(client.send("vm.files.write", query("/srv/x", "nobody"), Buffer.from("x"))),
        "permission_denied",
      );
      assert.equal(await codeOf(client.call("vm.files.mkdir", { params, body: { path: "/srv" } })), "file_exists");
      const body = { path: "/srv" };
      assert.equal(await codeOf(client.call("vm.files.delete", { params, body })), "directory_not_empty");
      assert.equal(await codeOf(client.call("vm.files.stat", query("/srv", "none-of-that-name"))), "invalid_request");
      assert.equal(
        await codeOf(client.send("vm.files.unpack", query("/srv/new"), Buffer.from("x".repeat(600)))),
        "bad_archive",
      );
      await sh(daemon, "mount -t tmpfs -o size=1m none /mnt");
      const full = client.send("vm.files.write", query("/mnt/full"), slices(randomBytes(2 * mebibyte)));
      assert.equal(await codeOf(full), "guest_disk_full");
      assert.equal(await sh(daemon, "ls -A /mnt; umount /mnt"), "");
    });

    await step("a writer who leaves half-way leaves nothing behind", async () => {
      await sh(daemon, "mkdir /srv/half; echo as it was >/srv/half/kept");
      const gone = new AbortController();
      async function* half(): AsyncGenerator<Buffer> {
        yield Buffer.from("half");
        await eventually(
          () => sh(daemon, "ls -A /srv/half | wc -l"),
          (count) => count === "2",
        );
        gone.abort(new Error("left"));
        await new Promise(() => {}); // never the rest
      }
      const query = { path: "/srv/half/kept" };
      const writing = client.send("vm.files.write", { params, query }, half(), { signal: gone.signal });
      await assert.rejects(writing, /left/);
      await eventually(
        () => sh(daemon, "ls -A /srv/half"),
        (names) => names === "kept",
      );
      assert.equal((await read(daemon, query.path)).toString(), "as it was\n");
    });

    await step("directories are listed, made, moved, searched and deleted", async () => {
      assert.deepEqual(await client.call("vm.files.mkdir", { params, body: { path: "~/a/b", parents: true } }), {
        created: true,
      });
      for (const name of ["one", "two"])
        await client.send("vm.files.write", { params, query: { path: `~/a/b/${name}` } }, Buffer.from(`the ${name}\n`));
      const { entries, truncated } = await client.call("vm.files.list", { params, query: { path: "~/a", depth: "2" } });
      assert.deepEqual(
        entries.map(({ path, type }) => [path, type]),
        [
          ["b", "directory"],
          ["b/one", "file"],
          ["b/two", "file"],
        ],
      );
      assert.equal(truncated, false);
      const found = await client.call("vm.files.search", { params, body: { path: "~/a", pattern: "t[wx]o$" } });
      assert.deepEqual(found.matches, [{ path: "b/two", type: "file", line: 1, text: "the two" }]);
      await client.call("vm.files.move", { params, body: { from: "~/a/b/one", to: "~/a/b/two", overwrite: true } });
      assert.equal((await read(daemon, "~/a/b/two")).toString(), "the one\n");
      await client.call("vm.files.delete", { params, body: { path: "~/a", recursive: true } });
      assert.equal((await refusal(client.call("vm.files.stat", { params, query: { path: "~/a" } }))).code, "not_found");
    });

    await step("changes are told until the watcher leaves", async () => {
      const query = { path: "/srv", recursive: "true" } as const;
      const { body } = await client.bytes("vm.files.watch", { params, query });
      let text = "";
      for await (const chunk of body) {
        const first = text === "";
        text += Buffer.from(chunk).toString();
        if (first) await sh(daemon, "mkdir -p /srv/w/x; echo 1 >/srv/w/x/new");
        if (text.includes('"w/x/new"')) break;
      }
      const changes = text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as FileChange);
      assert.deepEqual(changes[0], { event: "watching", path: "", isDirectory: true });
      assert.ok(
        changes.some(({ event, path }) => event === "created" && path === "w/x/new"),
        text,
      );
    });

    await step("a tree comes back as it went", async () => {
      await sh(daemon, "mkdir -p /srv/tree/d; cd /srv/tree; echo 1 >d/f; ln -s d/f link; ln d/f hard; chmod 4711 d/f");
      const { body } = await client.bytes("vm.files.archive", { params, query: { path: "/srv/tree" } });
      const done = await client.send("vm.files.unpack", { params, query: { path: "/srv/copy" } }, body);
      assert.deepEqual([done.files, done.directories, done.links, done.leftOut], [1, 1, 2, []]);
      const shown = (path: string): Promise<string> =>
        sh(daemon, `cd ${path}; find . ! -name . -printf '%P %m %l %n\\n' | sort`);
      assert.equal(await shown("/srv/copy"), await shown("/srv/tree"));
    });

    await client.call("vm.stop", { params, body: {} });
    await assertTidy(daemon);
  });
});

async function residentMiB(pid: number): Promise<number> {
  const { readFile } = await import("node:fs/promises");
  const [, kib = "0"] = /^VmRSS:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) / 1024;
}
