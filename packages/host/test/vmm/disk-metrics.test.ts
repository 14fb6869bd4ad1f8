import assert from "node:assert/strict";
import { test } from "node:test";
import { DiskSums } from "../../src/vmm/firecracker/disk-sums.ts";
import { disksIn } from "../../src/vmm/qemu/block-statistics.ts";

const line = (disks: Record<string, unknown>): string => JSON.stringify({ utc_timestamp_ms: 1, ...disks });

test("Firecracker's lines are summed by disk", () => {
  const sums = new DiskSums();
  const counters = { read_bytes: 1, write_bytes: 20, read_count: 3, write_count: 4, flush_count: 5, update_fails: 6 };
  sums.add(line({ block: counters, block_drive0: counters }));
  sums.add(line({ block_drive0: { ...counters, write_bytes: 80 }, block_drive1: { read_bytes: 7 } }));
  assert.deepEqual(sums.disks, [
    { readBytes: 2, writtenBytes: 100, reads: 6, writes: 8, flushes: 10 },
    { readBytes: 7, writtenBytes: 0, reads: 0, writes: 0, flushes: 0 },
  ]);
});

test("a line that is none, or of impossible numbers, changes nothing", () => {
  const sums = new DiskSums();
  sums.add(line({ block_drive0: { write_bytes: 5 } }));
  const whole = sums.disks;
  for (const bad of [-1, 0.5, 2 ** 60, "7", null, [], Number.NaN])
    sums.add(line({ block_drive0: { write_bytes: bad } }));
  for (const text of ["", "x", "[]", "null", "{", '{"block_drive0":7}', '{"__proto__":{"block_drive1":{}}}'])
    sums.add(text);
  assert.deepEqual(sums.disks, whole);
  sums.add(line({ block_drive0: { write_bytes: Number.MAX_SAFE_INTEGER } }));
  assert.equal(sums.disks[0]?.writtenBytes, Number.MAX_SAFE_INTEGER);
});

test("QEMU's statistics are put in the order of the devices", () => {
  const stats = (bytes: number): Record<string, unknown> => ({
    stats: { rd_bytes: bytes, wr_bytes: 2, rd_operations: 3, wr_operations: 4, flush_operations: 5, more: {} },
  });
  const answer = [{ device: "drive1", ...stats(11) }, { device: "drive0", ...stats(10) }, stats(99)];
  assert.deepEqual(
    disksIn(answer).map(({ readBytes }) => readBytes),
    [10, 11],
  );
  assert.deepEqual(disksIn([]), []);
  for (const bad of [null, {}, [{ device: "drive0" }], [{ device: "drive0", stats: { rd_bytes: -1 } }]])
    assert.throws(() => disksIn(bad));
});
