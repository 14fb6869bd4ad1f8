import type { IncomingHttpHeaders } from "node:http";
import { WorkfortError } from "@workfort/contract";
import type { Caller, Guard } from "./guard.ts";

/** a request at one of the daemon's doors; the Unix socket has no port, and its mode is guard enough */
export interface Arrival {
  headers: IncomingHttpHeaders;
  port: number | undefined;
}

/** Who asks; throws where it is nobody known. */
export function admit(guard: Guard | null, arrival: Arrival): Caller {
  return admitOrigin(guard, arrival)?.identify(arrival.headers) ?? { kind: "owner" };
}

/** Throws unless the owner asks, whose the API is, or anybody may. */
export function admitOwner(guard: Guard | null, arrival: Arrival, isPublic = false): void {
  const knows = admitOrigin(guard, arrival);
  if (isPublic || knows === null) return;
  if (knows.identify(arrival.headers).kind !== "owner")
    throw new WorkfortError("forbidden", "a token with a scope opens MCP alone", { hint: "POST /mcp" });
}

/** The guard of the port where there is one, once it has let the page or program in. */
function admitOrigin(guard: Guard | null, { headers, port }: Arrival): Guard | null {
  if (port === undefined) return null;
  if (guard === null) throw new Error("TCP is served without a guard");
  guard.checkOrigin(headers, port);
  return guard;
}
