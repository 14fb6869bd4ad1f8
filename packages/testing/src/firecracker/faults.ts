/**
 * What the double is to do wrong, named by the environment variable FIRECRACKER_DOUBLE_FAULT, separated by commas:
 *
 * - `slow-start`: the API socket appears a second late
 * - `hang:<METHOD> <path>`: this request is never answered, nor is any after it
 * - `exit:<code>:<METHOD> <path>`: the process exits instead of answering this request
 * - `half:<METHOD> <path>`: half of the answer, then the connection is closed
 * - `version:<version>`: another version is reported
 * - `lost-vsock`: connections to the vsock socket are closed at once
 * - `poweroff-does-not-exit`: the process stays when its guest has ended
 */
export interface Faults {
  slowStart: boolean;
  lostVsock: boolean;
  poweroffStays: boolean;
  version: string;
  /** the fault of a request, named as `PUT /actions` */
  ofRequest(request: string): { kind: "hang" | "half" } | { kind: "exit"; code: number } | null;
}

const usualVersion = "1.16.1";

export function readFaults(text: string): Faults {
  const words = text.split(",").filter((word) => word !== "");
  const valuesOf = (name: string): string[] =>
    words.filter((word) => word.startsWith(`${name}:`)).map((word) => word.slice(name.length + 1));
  const exits = new Map(valuesOf("exit").map((value) => splitAt(value, ":")));
  return {
    slowStart: words.includes("slow-start"),
    lostVsock: words.includes("lost-vsock"),
    poweroffStays: words.includes("poweroff-does-not-exit"),
    version: valuesOf("version")[0] ?? usualVersion,
    ofRequest: (request) => {
      if (valuesOf("hang").includes(request)) return { kind: "hang" };
      if (valuesOf("half").includes(request)) return { kind: "half" };
      const code = exits.get(request);
      return code === undefined ? null : { kind: "exit", code };
    },
  };
}

/** `<code>:<request>` as request and code */
function splitAt(value: string, separator: string): [string, number] {
  const at = value.indexOf(separator);
  return [value.slice(at + 1), Number(value.slice(0, at))];
}
