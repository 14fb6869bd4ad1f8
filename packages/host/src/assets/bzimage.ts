import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { spawn } from "node:child_process";
import { decompressLz4Legacy, lz4LegacyMagic } from "./lz4.ts";

/**
 * The ELF kernel inside a bzImage. Where the payload lies is written in the header:
 * https://docs.kernel.org/arch/x86/boot.html (setup_sects, payload_offset, payload_length).
 */
const headerMagic = "HdrS";
const largestKernelBytes = 512 * 1024 * 1024;

export async function extractVmlinux(bzImage: Buffer): Promise<Buffer> {
  if (bzImage.length < 0x250 || bzImage.toString("latin1", 0x202, 0x206) !== headerMagic)
    throw new Error("this is no bzImage (its header lacks HdrS)");
  const setupSectors = bzImage.readUInt8(0x1f1) || 4; // 0 means 4, for ancient loaders
  const start = (setupSectors + 1) * 512 + bzImage.readUInt32LE(0x248);
  const length = bzImage.readUInt32LE(0x24c);
  if (start + length > bzImage.length)
    throw new Error(`the bzImage is truncated: its payload ends at ${start + length}, the file at ${bzImage.length}`);
  const vmlinux = await decompress(bzImage.subarray(start, start + length));
  if (vmlinux.toString("latin1", 0, 4) !== "\x7fELF") throw new Error("the bzImage's payload is no ELF kernel");
  return vmlinux;
}

async function decompress(payload: Buffer): Promise<Buffer> {
  const magic = payload.readUInt32LE(0);
  // the plain size stands in the last four bytes, after the compressed data
  const packed = payload.subarray(0, -4);
  if (magic === lz4LegacyMagic) return decompressLz4Legacy(packed);
  if (magic === 0xfd2fb528) return zstdDecompressSync(packed, { maxOutputLength: largestKernelBytes });
  if ((magic & 0xffff) === 0x8b1f) return gunzipSync(packed, { maxOutputLength: largestKernelBytes });
  if (payload.toString("latin1", 1, 5) === "7zXZ") return await unxz(packed);
  throw new Error(
    `the kernel is compressed in a way that is not supported (magic 0x${magic.toString(16)}); supported are gzip, xz, zstd and lz4`,
  );
}

async function unxz(packed: Buffer): Promise<Buffer> {
  const child = spawn("xz", ["--decompress", "--stdout", "--single-stream"], { stdio: ["pipe", "pipe", "ignore"] });
  child.stdin.on("error", () => {}); // what it says by its exit code is enough
  child.stdin.end(packed);
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.once("error", (error) => reject(new Error("xz is not installed (Debian package xz-utils)", { cause: error })));
  child.once("close", resolve);
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  const code = await promise;
  if (code !== 0) throw new Error(`xz could not decompress the kernel (exit code ${code})`);
  return Buffer.concat(chunks);
}
