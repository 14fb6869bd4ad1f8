import { sendDatagram } from "@workfort/host/native/libc.ts";

/** Tells systemd how the service does (sd_notify(3)); without systemd nothing happens. */
export function notifySystemd(state: "READY=1" | "STOPPING=1"): void {
  const socket = process.env["NOTIFY_SOCKET"];
  if (socket === undefined || socket === "") return;
  sendDatagram(socket, state);
}
