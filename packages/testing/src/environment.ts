import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * What `npm test` has set up: a directory on btrfs of the suite's own, with a kernel and a root disk in it.
 * Everything a test makes lies under it, and goes with it.
 */
export interface TestEnvironment {
  /** directory on btrfs, writable by whoever runs the tests */
  root: string;
  /** directory for sockets, whose paths must be short; of the suite's own, too */
  runtime: string;
  /** holds `vmlinux` and `modules/` */
  kernelDirectory: string;
  /** ext4 file with a minimal Debian; on the same file system, so that copies cost nothing */
  rootfsImage: string;
  /** where the tests of VMs are to be run by Firecracker, its program */
  firecracker: string | null;
  /** whether VMMs are kept from the host's files; a double needs the checkout */
  confine: boolean;
}

export function testEnvironment(): TestEnvironment {
  const root = process.env["WORKFORT_TEST_ROOT"];
  const kernelDirectory = process.env["WORKFORT_TEST_KERNEL"];
  if (root === undefined || kernelDirectory === undefined) {
    throw new Error("these tests need what npm test sets up; run one file by: npm test -- packages/…/some.test.ts");
  }
  return {
    root,
    runtime: process.env["WORKFORT_TEST_RUNTIME"] ?? tmpdir(),
    kernelDirectory,
    rootfsImage: join(root, "debian.ext4"),
    firecracker: process.env["WORKFORT_TEST_FIRECRACKER"] ?? null,
    confine: process.env["WORKFORT_TEST_CONFINE"] !== "false",
  };
}

/** directory of the checkout */
export const checkout = fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/$/, "");

/** The cache of compiled code that all programs of ours share in a run, as an environment. */
export const compileCache: Record<string, string> =
  process.env["NODE_COMPILE_CACHE"] === undefined ? {} : { NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] };

/** the Node that runs the tests */
export const node = process.execPath;

const target = process.arch === "arm64" ? "aarch64-unknown-linux-gnu" : "x86_64-unknown-linux-gnu";

/** directory of the native programs, which `npm test` and `npm run bench` build before they begin */
export const nativePrograms = join(checkout, "native/target", target, "release");

/** `vhost-device-vsock`, which `npm test` builds as it was published */
export const vsockDeviceProgram = join(checkout, "native/target/vsock-device/bin/vhost-device-vsock");
