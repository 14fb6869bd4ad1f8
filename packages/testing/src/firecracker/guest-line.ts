import type { Socket } from "node:net";
import type { QmpLink } from "./qmp-link.ts";

/** What a guest is reached by. */
export interface GuestLine {
  /** for the log */
  readonly description: string;
  /** That it is ready means that the agent has answered. */
  readonly isReadyWithAgent: boolean;
  /** QEMU's, for the device in the guest */
  readonly guestArguments: string[];
  /** Whether the guest has come so far that it can be asked; QEMU is asked over its monitor. */
  isReady(monitor: QmpLink): Promise<boolean>;
  /** A stream to a port of the guest; null where nobody is there. */
  open(port: number): Promise<Socket | null>;
  /** Ends what serves it. */
  stop(): void;
}
