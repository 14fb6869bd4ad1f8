import type { FakeRoot } from "./ext4.ts";

export async function restoreAttributes(
  _image: string,
  _tree: string,
  _fake: FakeRoot,
  _signal: AbortSignal | undefined,
): Promise<void> {}
