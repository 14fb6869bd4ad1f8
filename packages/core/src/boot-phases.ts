import type { BootPhase } from "@workfort/contract";
import type { GuestAgent } from "./ports.ts";
import type { BootRecord } from "./records.ts";

/** Times the phases of a start on the host's side, in ms since the clock was made. */
export class PhaseClock {
  readonly #origin = performance.now();
  readonly #phases: BootPhase[] = [];
  #open: { name: BootPhase["name"]; since: number } | null = null;

  begin(name: BootPhase["name"]): void {
    this.end();
    this.#open = { name, since: performance.now() };
  }

  end(): void {
    if (this.#open === null) return;
    const { name, since } = this.#open;
    this.#phases.push({ name, startedAtMs: round(since - this.#origin), durationMs: round(performance.now() - since) });
    this.#open = null;
  }

  list(): BootPhase[] {
    return [...this.#phases];
  }
}

/** The phases inside the guest, once its agent has answered, at `readyAt` in Unix ms. */
export function guestPhases(boot: BootRecord, agent: GuestAgent, readyAt: number): BootPhase[] {
  const readyMs = readyAt - boot.startedAt;
  // the guest's clock starts late in the kernel's own boot, so only its distances count
  const booting = boot.phases.at(-1);
  const kernelAt = booting === undefined ? 0 : booting.startedAtMs + booting.durationMs;
  const userspaceAt = Math.max(kernelAt, readyMs - (agent.uptimeMs - agent.userspaceStartMs));
  return [
    { name: "kernel", startedAtMs: kernelAt, durationMs: userspaceAt - kernelAt },
    { name: "agent", startedAtMs: userspaceAt, durationMs: readyMs - userspaceAt },
  ];
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
