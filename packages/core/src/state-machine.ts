import type { VmState } from "@workfort/contract";

/**
 * The life of a VM.
 *
 *   created ──▶ starting ──▶ running ⇄ paused
 *                 │  ▲          │        │
 *                 │  │          ▼        ▼
 *                 │  └─ stopped ◀── stopping
 *                 ▼       ▲
 *              crashed ───┘ (starting again)
 *
 * `crashed` is reached from any live state, `stopped` too when the VM is killed or the guest shuts itself down.
 */
const transitions: Record<VmState, readonly VmState[]> = {
  created: ["starting"],
  starting: ["running", "stopped", "crashed"],
  running: ["paused", "stopping", "stopped", "crashed"],
  paused: ["running", "stopping", "stopped", "crashed"],
  stopping: ["stopped", "crashed"],
  stopped: ["starting"],
  crashed: ["starting"],
};

export function canChange(from: VmState, to: VmState): boolean {
  return transitions[from].includes(to);
}
