import { sendDatagram } from "@workfort/host/native/libc.ts";
import type { Logger } from "pino";

/** Tells systemd how the service does (sd_notify(3)); without systemd nothing happens, and a lost word harms nobody. */
export function notifySystemd(state: "READY=1" | "STOPPING=1", log: Logger): void {
  const socket = process.env["NOTIFY_SOCKET"];
  if (socket === undefined || socket === "") return;
  try {
    sendDatagram(socket, state);
  } catch (error) {
    log.warn({ err: error }, `systemd could not be told ${state}`);
  }
}
