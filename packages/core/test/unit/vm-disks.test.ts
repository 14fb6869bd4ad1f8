import assert from "node:assert/strict";
import { test } from "node:test";
import { AttachDrive, maxMountPathBytes } from "@workfort/contract";
import { mountArguments, mountsOf } from "@workfort/core";
import * as fc from "fast-check";
import { refuseDrive } from "../../src/vm-disks.ts";

const at = (mountPath: string | null, readOnly = false) => ({ mountPath, readOnly });

test("a mount comes after the one it lies in; its device is its drive's place", () => {
  const attached = [at("/work/deep/er"), at(null), at("/work", true), at("/other"), at("/work/deep")];
  assert.deepEqual(mountsOf(attached), [
    { device: "vdd", path: "/work", readOnly: true },
    { device: "vde", path: "/other", readOnly: false },
    { device: "vdf", path: "/work/deep", readOnly: false },
    { device: "vdb", path: "/work/deep/er", readOnly: false },
  ]);
});

test("whatever a path holds, it is one word of the command line, and comes back as it was", () => {
  assert.deepEqual(mountArguments(mountsOf([at("/my work:ro", true)])), ["workfort.mount=vdb:/my%20work%3Aro:ro"]);
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (name) => {
      const path = `/${name.toWellFormed()}`;
      const [word = ""] = mountArguments(mountsOf([at(path)]));
      assert.match(word, /^workfort\.mount=vdb:[A-Za-z0-9/._%-]+$/);
      assert.equal(decodeURIComponent(word.slice("workfort.mount=vdb:".length)), path);
    }),
  );
});

test("a VM has at most 12 drives, one on a path, and paths that fit the command line", () => {
  const bare = Array.from({ length: 11 }, () => at(null));
  assert.equal(refuseDrive(bare, { readOnly: false }), null);
  assert.equal(refuseDrive([...bare, at(null)], { readOnly: false })?.code, "too_many");
  assert.equal(refuseDrive([at("/a")], { mountPath: "/a", readOnly: true })?.code, "in_use");
  assert.equal(refuseDrive([at("/a")], { mountPath: "/a/b", readOnly: true }), null);
  const long = Array.from({ length: 4 }, (_, index) => at(`/${index}${"x".repeat(198)}`));
  assert.equal(refuseDrive(long, { mountPath: "/short", readOnly: false }), null);
  assert.match(
    refuseDrive(long, { mountPath: `/${"y".repeat(199)}`, readOnly: false })?.why ?? "",
    /\d+ bytes .* 1024/,
  );
  assert.equal(refuseDrive(long, { readOnly: false }), null);
  assert.equal(refuseDrive([], { mountPath: `/${"€".repeat(66)}`, readOnly: false }), null);
});

test("a mount path is absolute, has no way up, and stays out of the kernel's directories", () => {
  const parse = (mountPath: string) => AttachDrive.safeParse({ vm: "dev", mountPath });
  for (const [given, taken] of [
    ["/work", "/work"],
    ["//work///deep/", "/work/deep"],
    ["/.hidden/..x", "/.hidden/..x"],
    ["/device", "/device"],
    ["/a b/ü", "/a b/ü"],
    [`/${"w".repeat(maxMountPathBytes - 1)}/`, `/${"w".repeat(maxMountPathBytes - 1)}`],
  ] as const)
    assert.equal(parse(given).data?.mountPath, taken);
  for (const bad of ["", "/", "//", "work", "./work", "/a/../b", "/a/.", "/dev", "/proc/x", "//sys", "/a\0", "/\ud800"])
    assert.equal(parse(bad).success, false, JSON.stringify(bad));
  assert.equal(parse(`/${"w".repeat(maxMountPathBytes)}`).success, false);
  assert.equal(parse(`/${"ü".repeat(100)}`).success, false, "bytes count, not letters");
});
