import { closeSync, openSync, readSync, statSync } from "node:fs";
import type { BootSource } from "./bodies.ts";
import { Refusal, systemWords } from "./refusal.ts";

/** one less than what it has room for, for the NUL at the end */
const maxCommandLineBytes = 2047;
const elfHeaderBytes = 64;

/** When it is named, its files are opened and no more; what is in them is looked at when the VM starts. */
export function checkBootSource(source: BootSource): void {
  const refuse = (why: string): Refusal => new Refusal(`Boot source error: ${why}`);
  tryOpen(source.kernel_image_path, (why) => refuse(`The kernel file cannot be opened: ${why}`));
  if (source.initrd_path !== null)
    tryOpen(source.initrd_path, (why) =>
      refuse(`The initrd file cannot be opened due to invalid path or invalid permissions. ${why}`),
    );
  if (Buffer.byteLength(source.boot_args ?? "") > maxCommandLineBytes)
    throw refuse("The kernel command line is invalid: Invalid cmdline capacity provided.");
}

/** Refuses what cannot be started. */
export function checkBootable(source: BootSource): void {
  const fault = elfFault(source.kernel_image_path);
  if (fault !== null)
    throw new Refusal(
      "Start microvm error: System configuration error: Cannot load kernel due to invalid memory configuration or " +
        `invalid kernel image: Kernel Loader: failed to load ELF kernel image: Kernel Loader: ${fault}`,
    );
  if (source.initrd_path !== null && statSync(source.initrd_path).size === 0)
    throw new Refusal(
      "Start microvm error: Error with initrd initialization: Cannot load initrd due to an invalid memory configuration..",
    );
}

function elfFault(path: string): string | null {
  const header = Buffer.alloc(elfHeaderBytes);
  try {
    const file = openSync(path, "r");
    const bytes = readSync(file, header);
    closeSync(file);
    if (bytes < elfHeaderBytes) return "Unable to read elf header";
  } catch {
    return "Unable to read elf header"; // a directory, for example
  }
  return header.toString("latin1", 0, 4) === "\x7fELF" ? null : "Invalid Elf magic number";
}

function tryOpen(path: string, refusal: (why: string) => Refusal): void {
  try {
    closeSync(openSync(path, "r"));
  } catch (error) {
    throw refusal(systemWords(error));
  }
}
