/**
 * POSIX access control lists: from the text that tar carries (`SCHILY.acl.*`, acl(5)) to the value of the extended
 * attribute (`system.posix_acl_*`, linux/posix_acl_xattr.h).
 */
const tags = {
  user: { own: 0x01, named: 0x02 },
  group: { own: 0x04, named: 0x08 },
  mask: { own: 0x10 },
  other: { own: 0x20 },
} as const;
const noId = 0xffffffff;

/** Entries separated by commas or line ends; people by number, since the image's names are not the host's. */
export function encodeAcl(text: string): Buffer {
  const entries = text
    .split(/[,\n]/)
    .filter((entry) => entry.trim() !== "")
    .map(encodeEntry);
  const version = Buffer.alloc(4);
  version.writeUInt32LE(2);
  return Buffer.concat([
    version,
    ...entries.toSorted((a, b) => a.readUInt16LE(0) - b.readUInt16LE(0) || a.readUInt32LE(4) - b.readUInt32LE(4)),
  ]);
}

function encodeEntry(entry: string): Buffer {
  // tar adds the number as a fourth field where the third holds a name
  const [kind = "", who = "", permissions = "", number] = entry.trim().split(":");
  const tag = tags[kind as keyof typeof tags];
  const id = who === "" ? noId : Number(number ?? who);
  if (
    tag === undefined ||
    !/^[r-][w-][x-]$/.test(permissions) ||
    !Number.isInteger(id) ||
    (who !== "" && !("named" in tag))
  ) {
    throw new Error(`the tar has an access control entry that is not understood: ${entry}`);
  }
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(who === "" ? tag.own : (tag as { named: number }).named, 0);
  bytes.writeUInt16LE(
    [...permissions].reduce((sum, letter, index) => sum + (letter === "-" ? 0 : 4 >> index), 0),
    2,
  );
  bytes.writeUInt32LE(id, 4);
  return bytes;
}
