/**
 * Named places in multi-step changes at which a test makes the daemon die.
 *
 * Each place announces itself by `failpoint(name)`; outside tests nothing listens and the call does nothing.
 */
let listener: ((name: string) => void) | null = null;

export function failpoint(name: string): void {
  listener?.(name);
}

/** Installs the one listener; null removes it. */
export function onFailpoint(next: ((name: string) => void) | null): void {
  listener = next;
}
