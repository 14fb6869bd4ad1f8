import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { writeAtomically } from "@workfort/host/files.ts";

test("two who write the same file at once both succeed, as two first starts of VMs do with their initramfs", async () => {
  const directory = await fs.mkdtemp(join(tmpdir(), "files"));
  try {
    const path = join(directory, "file");
    const contents = Array.from({ length: 8 }, (_, index) => Buffer.alloc(1024 * 1024, index));
    await Promise.all(contents.map((content) => writeAtomically(path, content)));
    const content = await fs.readFile(path);
    assert.ok(
      contents.some((one) => one.equals(content)),
      "it is one of them, whole",
    );
    assert.deepEqual(await fs.readdir(directory), ["file"]);
  } finally {
    await fs.rm(directory, { recursive: true });
  }
});
