import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Journal } from "@workfort/core";
import { SqliteStore } from "../../src/store/sqlite-store.ts";

const silent = { info: () => {}, warn: () => {}, error: () => {} };

interface World {
  store: SqliteStore;
  journal: Journal;
  /** what is on the disk of this test: names of things made */
  made: Set<string>;
  rows: Set<string>;
  create: (name: string) => Promise<void>;
  remove: (name: string) => Promise<void>;
}

/** A change of two steps on a "disk" that is a set; `fails` says which step throws. */
function world(path: string, made: Set<string>, rows: Set<string>, fails: (step: string) => boolean): World {
  const store = new SqliteStore(path);
  const journal = new Journal(store, silent);
  const step = (name: string) => ({
    name,
    run: (data: { name: string }) => {
      if (fails(name)) return Promise.reject(new Error(`${name} failed`));
      made.add(`${name} of ${data.name}`);
      return Promise.resolve();
    },
    undo: (data: { name: string }) => {
      if (fails(`undo ${name}`)) return Promise.reject(new Error(`undo of ${name} failed`));
      made.delete(`${name} of ${data.name}`);
      return Promise.resolve();
    },
  });
  const steps = [step("left half"), step("right half")];
  const create = journal.build<{ name: string }>({
    kind: "thing.create",
    steps,
    commit: ({ name }) => void rows.add(name),
    isBuilt: ({ name }) => Promise.resolve(steps.every((one) => made.has(`${one.name} of ${name}`))),
  });
  const remove = journal.removal<{ name: string }>({
    kind: "thing.remove",
    commit: ({ name }) => void rows.delete(name),
    steps: steps.map((one) => ({ name: one.name, run: one.undo })),
  });
  return { store, journal, made, rows, create: (name) => create({ name }), remove: (name) => remove({ name }) };
}

async function withWorld(use: (open: (fails?: (step: string) => boolean) => World) => Promise<void>): Promise<void> {
  const directory = await fs.mkdtemp(join(tmpdir(), "journal-"));
  const [made, rows] = [new Set<string>(), new Set<string>()];
  const opened: World[] = [];
  try {
    await use((fails = () => false) => {
      opened.at(-1)?.store.close();
      const next = world(join(directory, "nexus.db"), made, rows, fails);
      opened.push(next);
      return next;
    });
  } finally {
    opened.at(-1)?.store.close();
    await fs.rm(directory, { recursive: true, force: true });
  }
}

test("a build whose step fails is undone, and says what failed", () =>
  withWorld(async (open) => {
    for (const failing of ["left half", "right half"]) {
      const { create, made, rows, store } = open((step) => step === failing);
      await assert.rejects(create("x"), { message: `${failing} failed` });
      assert.deepEqual([[...made], [...rows], store.intents()], [[], [], []]);
    }
  }));

test("an undo that fails too is tried again by the next daemon", () =>
  withWorld(async (open) => {
    const broken = open((step) => step === "right half" || step === "undo left half");
    await assert.rejects(broken.create("x"));
    assert.deepEqual([[...broken.made], broken.store.intents().length], [["left half of x"], 1]);
    const mended = open();
    await mended.journal.recover();
    assert.deepEqual([[...mended.made], [...mended.rows], mended.store.intents()], [[], [], []]);
  }));

test("a removal is done with its record: what could not be cleared away is cleared by the next daemon", () =>
  withWorld(async (open) => {
    await open().create("x");
    const broken = open((step) => step === "undo right half");
    await assert.rejects(broken.remove("x"));
    assert.deepEqual([[...broken.rows], [...broken.made]], [[], ["right half of x"]]);
    const mended = open();
    await mended.journal.recover();
    assert.deepEqual([[...mended.made], mended.store.intents()], [[], []]);
  }));

test("an intent that cannot be settled does not keep the others from being", () =>
  withWorld(async (open) => {
    const first = open();
    first.store.insertIntent("thing.create", null); // its recovery throws
    first.made.add("left half of y");
    first.store.insertIntent("thing.create", { name: "y" });
    first.store.insertIntent("of another kind", {});
    await first.journal.recover();
    assert.deepEqual([...first.made], []);
    assert.deepEqual(
      first.store.intents().map(({ kind }) => kind),
      ["thing.create", "of another kind"],
    );
  }));
