import assert from "node:assert/strict";
import { test } from "node:test";
import { PreviewTickets } from "../../src/http/preview-tickets.ts";

const minute = 60_000;
const dev = "vm_abcdefgh2345";

function atTime(): { tickets: PreviewTickets; pass: (ms: number) => void } {
  let now = 1_000_000;
  return { tickets: new PreviewTickets("secret", () => now), pass: (ms) => void (now += ms) };
}

test("a ticket is exchanged once, within a minute, for its own port and VM", () => {
  const { tickets, pass } = atTime();
  const ticket = tickets.ticket(dev, 3000);
  assert.equal(tickets.redeem(ticket, dev, 3001), null);
  assert.equal(tickets.redeem(ticket, "vm_zzzzzzzz2345", 3000), null);
  const cookie = tickets.redeem(ticket, dev, 3000);
  assert.ok(cookie !== null && tickets.opens(cookie, dev, 3000));
  assert.equal(tickets.redeem(ticket, dev, 3000), null);
  const late = tickets.ticket(dev, 3000);
  pass(minute);
  assert.equal(tickets.redeem(late, dev, 3000), null);
});

test("a cookie is good for half a day, and neither a ticket nor another daemon's", () => {
  const { tickets, pass } = atTime();
  const cookie = tickets.redeem(tickets.ticket(dev, 3000), dev, 3000) ?? "";
  assert.equal(tickets.opens(cookie, dev, 3001), false);
  assert.equal(tickets.opens(tickets.ticket(dev, 3000), dev, 3000), false);
  assert.equal(tickets.redeem(cookie, dev, 3000), null);
  assert.equal(new PreviewTickets("another").opens(cookie, dev, 3000), false);
  for (const forged of ["", ".", "..", `zzzzzzzz${cookie.slice(8)}`, `${cookie}x`, cookie.slice(0, -1)])
    assert.equal(tickets.opens(forged, dev, 3000), false, forged);
  pass(12 * 60 * minute - 1);
  assert.ok(tickets.opens(cookie, dev, 3000));
  pass(1);
  assert.equal(tickets.opens(cookie, dev, 3000), false);
});
