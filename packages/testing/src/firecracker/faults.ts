import { isSpoiling, type Spoiling } from "./spoiled-answers.ts";

/**
 * What the double is to do wrong, named by the environment variable FIRECRACKER_DOUBLE_FAULT, separated by commas.
 * A moment is a request such as `PUT /actions`, or `start` (before the first line of log), or `socket` (before the
 * API's socket is bound).
 *
 * - `hang:<moment>`: nothing happens any more; of a request that it is never answered, nor is any after it
 * - `exit:<code>:<moment>`: the process exits instead
 * - `kill:<moment>`: the process is ended by SIGKILL instead
 * - `say:<words>:<moment>`: the words, percent-encoded, go to stderr first, and all goes on
 * - `refuse:<words>:<request>`: refused in these words, percent-encoded
 * - `<spoiling>:<request>`: the answer is `half` of one, or another of those in spoiled-answers.ts
 * - `slow-answers:<ms>`: every answer comes that late
 * - `slow-start`: the API socket appears a second late
 * - `stale-socket`: the API socket's file is there a moment before anybody listens on it
 * - `version:<version>`: another version is reported
 * - `lost-serial`: nothing of the guest's console is seen
 * - `late-clock:<seconds>`: so late the guest's clock is at its start
 * - `full-disk`: half of the memory of a snapshot can be written, and no more
 * - `lost-vsock`: connections to the vsock socket are closed at once
 * - `bridged-vsock`, no fault: the guest is reached by virtio-serial instead of AF_VSOCK (serial-bridge.ts)
 * - `poweroff-does-not-exit`: the process stays when its guest has ended
 * - `deaf`: SIGTERM is ignored
 */
export interface Faults {
  slowStart: boolean;
  staleSocket: boolean;
  lostSerial: boolean;
  /** s */
  clockLateBy: number;
  fullDisk: boolean;
  lostVsock: boolean;
  bridgedVsock: boolean;
  poweroffStays: boolean;
  deaf: boolean;
  version: string;
  /** ms */
  answersLateBy: number;
  /** what goes wrong at a moment; null where nothing does */
  at(moment: string): Fault | null;
  /** what is said on stderr at a moment; null for nothing */
  wordsAt(moment: string): string | null;
}

export type Fault =
  | { kind: "hang" }
  | { kind: "kill" }
  | { kind: "exit"; code: number }
  | { kind: "refuse"; words: string }
  | { kind: "spoil"; how: Spoiling };

const usualVersion = "1.15.1";

export function readFaults(text: string): Faults {
  const words = text.split(",").filter((word) => word !== "");
  const valueOf = (name: string): string | undefined =>
    words.find((word) => word.startsWith(`${name}:`))?.slice(name.length + 1);
  const ofMoment = (moment: string): string[] =>
    words.filter((word) => word.endsWith(`:${moment}`)).map((word) => word.slice(0, -moment.length - 1));
  return {
    slowStart: words.includes("slow-start"),
    staleSocket: words.includes("stale-socket"),
    bridgedVsock: words.includes("bridged-vsock"),
    lostSerial: words.includes("lost-serial"),
    clockLateBy: Number(valueOf("late-clock") ?? 0),
    fullDisk: words.includes("full-disk"),
    lostVsock: words.includes("lost-vsock"),
    poweroffStays: words.includes("poweroff-does-not-exit"),
    deaf: words.includes("deaf"),
    version: valueOf("version") ?? usualVersion,
    answersLateBy: Number(valueOf("slow-answers") ?? 0),
    at: (moment) => ofMoment(moment).flatMap(faultOf)[0] ?? null,
    wordsAt: (moment) => ofMoment(moment).flatMap((word) => valueIn(word, "say") ?? [])[0] ?? null,
  };
}

/** A fault's word without its moment; nothing for what is no fault. */
function faultOf(word: string): Fault[] {
  if (word === "hang" || word === "kill") return [{ kind: word }];
  if (isSpoiling(word)) return [{ kind: "spoil", how: word }];
  const [code, words] = [valueIn(word, "exit"), valueIn(word, "refuse")];
  if (code !== null) return [{ kind: "exit", code: Number(code) }];
  return words === null ? [] : [{ kind: "refuse", words }];
}

/** `<name>:<value>` */
function valueIn(word: string, name: string): string | null {
  return word.startsWith(`${name}:`) ? decodeURIComponent(word.slice(name.length + 1)) : null;
}
