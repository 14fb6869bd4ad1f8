import type { Balloon, BootSource, Drive, Interface, MachineConfig, MmdsConfig, Vsock } from "./bodies.ts";

/**
 * The file of a VM's state: a magic number, the version of the format, the state, and a CRC-64 of it all, as
 * Firecracker lays it out. What lies between is the double's own: the configuration in JSON, and what QEMU has saved of
 * its devices.
 */
export interface SavedVm {
  configuration: SavedConfiguration;
  /** QEMU's own notation */
  devices: Buffer;
}

/** what the VM had been told */
export interface SavedConfiguration {
  machine: MachineConfig;
  boot: BootSource | null;
  drives: readonly Drive[];
  interfaces: readonly Interface[];
  vsock: Omit<Vsock, "vsock_id"> | null;
  balloon: Balloon | null;
  entropy: { rate_limiter: unknown } | null;
  mmds: MmdsConfig | null;
}

/** of Firecracker 1.15 */
export const snapshotVersion = "9.0.0";
/** x86-64; of another architecture there is no guest */
const magic = 0x0710_1984_8664_0000n;
const magicBytes = 8;
const versionBytes = 12;
const lengthBytes = 4;
const checksumBytes = 8;
const mostBytes = 10_000_000;
/** CRC-64 by Jones, as the crate crc64 has it: reflected, beginning with zero */
const polynomial = 0x95ac_9329_ac4b_c9b5n;

/** why a file is no state that can be loaded, in Firecracker's words */
export class SnapshotFileError extends Error {}

export function encodeSnapshot({ configuration, devices }: SavedVm): Buffer {
  const json = Buffer.from(JSON.stringify(configuration));
  const head = Buffer.alloc(magicBytes + versionBytes + lengthBytes);
  head.writeBigUInt64LE(magic);
  for (const [index, part] of snapshotVersion.split(".").entries())
    head.writeUInt32LE(Number(part), magicBytes + index * 4);
  head.writeUInt32LE(json.length, magicBytes + versionBytes);
  const data = Buffer.concat([head, json, devices]);
  const checksum = Buffer.alloc(checksumBytes);
  checksum.writeBigUInt64LE(crc64(data));
  return Buffer.concat([data, checksum]);
}

/** Throws SnapshotFileError, for the first fault that Firecracker finds. */
export function decodeSnapshot(file: Buffer): SavedVm {
  const version = readVersion(file);
  if (version.split(".")[0] !== snapshotVersion.split(".")[0])
    throw new SnapshotFileError(`Invalid data version: ${version}`);
  if (crc64(file) !== 0n) throw new SnapshotFileError("CRC64 validation failed");
  const begin = magicBytes + versionBytes + lengthBytes;
  const end = begin + file.readUInt32LE(begin - lengthBytes);
  return {
    configuration: JSON.parse(file.toString("utf8", begin, end)) as SavedConfiguration,
    devices: file.subarray(end, -checksumBytes),
  };
}

/** The version that a file states; throws SnapshotFileError where it is no state. */
export function readVersion(file: Buffer): string {
  if (file.length > mostBytes) throw new SnapshotFileError(`Snapshot size exceeds limit of ${mostBytes} bytes`);
  if (file.length < checksumBytes) throw new SnapshotFileError("IO Error: File too short to contain CRC");
  const found = file.readBigUInt64LE();
  if (file.length < magicBytes + versionBytes + lengthBytes + checksumBytes || found >> 48n !== magic >> 48n)
    throw new SnapshotFileError("An error occured during bitcode serialization: bitcode error"); // as it is spelt there
  if (found !== magic) throw new SnapshotFileError(`Magic value does not match arch: ${found}`);
  return [0, 1, 2].map((index) => file.readUInt32LE(magicBytes + index * 4)).join(".");
}

const table = Array.from({ length: 256 }, (_, byte) => {
  let value = BigInt(byte);
  for (let bit = 0; bit < 8; bit += 1) value = (value & 1n) === 1n ? (value >> 1n) ^ polynomial : value >> 1n;
  return value;
});

/** Zero over bytes that end with their own checksum. */
function crc64(bytes: Buffer): bigint {
  let sum = 0n;
  for (const byte of bytes) sum = (table[Number(sum & 0xffn) ^ byte] ?? 0n) ^ (sum >> 8n);
  return sum;
}
