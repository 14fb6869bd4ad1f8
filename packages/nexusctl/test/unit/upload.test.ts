import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { FakeDaemon, sendJson } from "../helpers/fake-daemon.ts";
import { nexusctl } from "../helpers/run.ts";

/** A file that is copied into a guest which says of drafts what no guest of ours would: the daemon is a double. */

interface Told {
  code: number | null;
  stdout: string;
  stderr: string;
  /** offsets of what was written */
  offsets: (string | null)[];
}

/** The guest always says that ten bytes are held, and takes a body only where `takes`. */
async function copyInto(takes: (offset: string | null) => boolean): Promise<Told> {
  const offsets: (string | null)[] = [];
  await using daemon = await FakeDaemon.start(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://daemon");
    const path = searchParams.get("path") ?? "";
    const about = { mode: "0644", uid: 0, gid: 0, modifiedAt: 0, links: 1, target: null };
    if (pathname.endsWith("/files/stat")) {
      if (path.includes("draft")) sendJson(response, { path, type: "file", sizeBytes: 10, ...about });
      else sendJson(response, problem("not_found", 404), 404);
      return;
    }
    await Array.fromAsync(request);
    const offset = searchParams.get("offset");
    offsets.push(offset);
    if (takes(offset)) sendJson(response, { path, sizeBytes: 20, created: true });
    else sendJson(response, problem("invalid_request", 400), 400);
  });
  const source = join(daemon.directory, "source");
  await fs.writeFile(source, "x".repeat(20));
  return { ...(await nexusctl(daemon.env, ["vm", "cp", "--resume", source, "dev:/srv/file"])), offsets };
}

const problem = (code: string, status: number): object => ({ code, status, title: "No", detail: "no" });

test("a draft that is gone when it is gone on with is written from the beginning", async () => {
  const { code, stdout, stderr, offsets } = await copyInto((offset) => offset === null);
  assert.equal(code, 0, stderr);
  assert.deepEqual(offsets, ["10", null]);
  assert.equal(stdout, "dev:/srv/file  1 file, 20 B\n", "nothing of it was there");
});

test("a guest that says ever again that something is held, and takes nothing, is not asked for ever", async () => {
  const { code, offsets } = await copyInto(() => false);
  assert.notEqual(code, 0);
  assert.deepEqual(offsets, ["10", null]);
});
