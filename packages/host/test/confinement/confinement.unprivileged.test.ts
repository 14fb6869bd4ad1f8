import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { test } from "node:test";
import { proveFiles, proveGroup, proveMemory, proveOrphans } from "./held.ts";

const systemd = await fs.stat("/run/systemd/system").catch(() => null);

test("runs without privilege", () => assert.notEqual(process.getuid?.(), 0));

test("files", proveFiles);

test("groups", proveGroup);

test("orphans", proveOrphans);

// only systemd sets limits for whoever is not root
if (systemd !== null) test("memory", proveMemory);
