import { promises as fs } from "node:fs";
import { join } from "node:path";
import { buildExt4 } from "../../src/images/ext4.ts";
import { inspectExt4 } from "../../src/images/ext4-file.ts";
import { assertEverything, writeEverything } from "./everything.ts";

/** Builds an image of everything from a tar, as whoever runs this, and looks inside. */
export async function buildAndProve(root: string): Promise<void> {
  const directory = await fs.mkdtemp(join(root, "e"));
  try {
    const target = join(directory, "image.ext4");
    await buildExt4({ source: { tar: await writeEverything(directory) }, target, label: "all" });
    await assertEverything(target);
    await inspectExt4(target);
    const left = (await fs.readdir(directory)).filter((name) => name.includes("tmp"));
    if (left.length > 0) throw new Error(`left over: ${left.join(", ")}`);
  } finally {
    await fs.rm(directory, { recursive: true, force: true });
  }
}
