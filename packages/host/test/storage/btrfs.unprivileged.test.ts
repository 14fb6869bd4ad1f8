import assert from "node:assert/strict";
import { test } from "node:test";
import { proveDrives, proveLife } from "./btrfs.ts";

test("runs without privilege", () => assert.notEqual(process.getuid?.(), 0));

test("images and workspaces", proveLife);

test("drives", proveDrives);
