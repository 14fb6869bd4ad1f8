import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { KeptOutput } from "../../src/kept-output.ts";

const note = (left: number, from: number): string => `<${left} from ${from}>`;

test("beginning and end are kept, whatever the pieces that it comes in", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(..."abcdefgh"), maxLength: 400 }),
      fc.array(fc.nat(50)),
      fc.integer({ min: 2, max: 100 }),
      (text, cuts, bound) => {
        const kept = new KeptOutput(bound);
        let at = 0;
        for (const length of [...cuts, text.length]) {
          kept.push(Buffer.from(text.slice(at, at + length)));
          at = Math.min(text.length, at + length);
        }
        assert.equal(kept.total, text.length);
        const half = Math.floor(bound / 2);
        const expected =
          text.length <= bound
            ? text
            : `${text.slice(0, half)}\n${note(text.length - bound, half)}\n${text.slice(-(bound - half))}`;
        assert.equal(kept.text(note), expected);
      },
    ),
  );
});

test("no character is cut, and what is left out can be read from the offset that is told", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 200 }), fc.integer({ min: 16, max: 100 }), (text, bound) => {
      const bytes = Buffer.from(text);
      const kept = new KeptOutput(bound);
      kept.push(bytes);
      if (kept.left === 0) return;
      const [before = "", told = "", after = ""] = kept.text((left, from) => `${left} ${from}`).split(/\n(\d+ \d+)\n/);
      const [left = 0, from = 0] = told.split(" ").map(Number);
      assert.equal(before + bytes.toString("utf8", from, from + left) + after, text);
    }),
  );
});

test("what is no text is kept byte for byte, as far as text can say it", () => {
  const kept = new KeptOutput(8);
  kept.push(Buffer.alloc(20, 0xff));
  const half = "\uFFFD".repeat(4);
  assert.equal(kept.text(note), `${half}\n${note(12, 4)}\n${half}`);
});

test("a flood in small pieces stays within a few times its bound", () => {
  const kept = new KeptOutput(1000);
  for (let index = 0; index < 200_000; index += 1) kept.push(Buffer.from("0123456789"));
  assert.equal(kept.left, 2_000_000 - 1000);
  assert.equal(kept.text(note).length, 1000 + note(kept.left, 500).length + 2);
});
