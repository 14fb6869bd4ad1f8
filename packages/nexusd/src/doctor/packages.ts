import { existsSync } from "node:fs";

/** what the host must have, and which package carries it */
const packages = {
  qemu: { debian: "qemu-system-x86", arch: "qemu-system-x86" },
  btrfs: { debian: "btrfs-progs", arch: "btrfs-progs" },
  e2fsprogs: { debian: "e2fsprogs", arch: "e2fsprogs" },
  fakeroot: { debian: "fakeroot", arch: "fakeroot" },
  mmdebstrap: { debian: "mmdebstrap", arch: "debootstrap" },
} as const;
export type Tool = keyof typeof packages;

/** The command that installs the tools on this host. */
export function installCommand(tools: readonly Tool[]): string {
  if (existsSync("/etc/arch-release"))
    return `sudo pacman -S --needed ${tools.map((tool) => packages[tool].arch).join(" ")}`;
  return `sudo apt-get install ${tools.map((tool) => packages[tool].debian).join(" ")}`;
}
