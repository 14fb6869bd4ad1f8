import { promises as fs } from "node:fs";
import { runTool } from "../process/run.ts";
import { debianSources } from "./debian-sources.ts";
import type { FetchOptions } from "./debian-kernel.ts";

/** A minimal Debian of the host's own release, as a tar, from the host's own package sources; `packages` are added. */
const bootstrapBoundMs = 1_800_000;
/** what `minbase` lacks and a shell user misses at once */
const include = ["procps", "ca-certificates"];

export async function bootstrapDebian(
  tar: string,
  options: FetchOptions,
  packages: readonly string[] = [],
): Promise<void> {
  const { codename, lines, keyring } = await debianSources();
  const sources = `${tar}.list`;
  await fs.writeFile(sources, `${lines.join("\n")}\n`);
  options.onProgress(`bootstrapping Debian ${codename}`);
  try {
    await runTool(
      [
        "mmdebstrap",
        "--variant=minbase",
        "--format=tar",
        `--include=${[...include, ...packages].join(",")}`,
        ...(keyring === null ? [] : [`--keyring=${keyring}`]),
        // the guest gets no trace of the machine it was made on
        '--customize-hook=echo workfort > "$1/etc/hostname"',
        '--customize-hook=: > "$1/etc/machine-id"',
        '--customize-hook=rm -f "$1/etc/resolv.conf" "$1"/var/log/*.log "$1"/var/log/apt/*',
        // a place for the guest agent to mount its own on
        '--customize-hook=: > "$1/etc/resolv.conf"',
        '--customize-hook=printf "127.0.0.1 localhost\\n::1 localhost ip6-localhost\\n" > "$1/etc/hosts"',
        codename,
        tar,
        sources,
      ],
      {
        signal: options.signal,
        timeoutMs: bootstrapBoundMs,
        env: { SOURCE_DATE_EPOCH: "1735689600" }, // 2025-01-01, so that a repeated run differs by packages alone
        onErrorLine: (line) => {
          const phase = /^I: (.+?)\.\.\.$/.exec(line)?.[1];
          if (phase !== undefined) options.onProgress(`bootstrapping Debian ${codename}: ${phase}`);
        },
      },
    );
  } finally {
    await fs.rm(sources, { force: true });
  }
}
