/** where a forward listens and where it leads, as the API takes it */
export interface ForwardEnds {
  hostAddress?: string;
  hostPort?: number;
  hostSocket?: string;
  guestPort?: number;
  guestSocket?: string;
}

/**
 * `8080:3000`, `3000` (the same on both sides), `:3000` (a free port of the host), `0.0.0.0:8080:3000`,
 * `[::1]:8080:3000`; either end may be the path of a Unix socket: `/run/app.sock:3000`, `5432:/run/postgresql/.s.PGSQL.5432`
 */
export function parseForward(text: string): ForwardEnds {
  const found = /^(?:(.*):)?(\d+|\/[^:]*)$/.exec(text);
  if (found === null) throw refusal(text);
  const [, host, guest = ""] = found;
  const guestEnd = guest.startsWith("/") ? { guestSocket: guest } : { guestPort: port(guest, text, 1) };
  if (host === undefined) {
    if (guest.startsWith("/")) throw refusal(text);
    return { hostPort: port(guest, text, 1), ...guestEnd };
  }
  if (host.startsWith("/")) return { hostSocket: host, ...guestEnd };
  const [, bracketed, plain, hostPort] = /^(?:(?:\[([^\]]+)\]|([^:]+)):)?(\d*)$/.exec(host) ?? [];
  if (hostPort === undefined) throw refusal(text);
  const address = bracketed ?? plain;
  return {
    ...(address === undefined ? {} : { hostAddress: address }),
    hostPort: port(hostPort || "0", text, 0),
    ...guestEnd,
  };
}

function port(digits: string, text: string, least: number): number {
  const number = Number(digits);
  if (number < least || number > 65_535) throw refusal(text);
  return number;
}

function refusal(text: string): SyntaxError {
  return new SyntaxError(
    `takes [ADDRESS:]HOST-PORT:GUEST-PORT such as 8080:3000, with paths of sockets for ports, not "${text}"`,
  );
}
