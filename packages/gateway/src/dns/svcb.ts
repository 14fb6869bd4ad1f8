import { readName } from "./name.ts";
import { recordType, type DnsRecord } from "./record.ts";

/** parameter `ech` of SVCB and HTTPS records (RFC 9460, 9848) */
const encryptedHelloKey = 5;
const mandatoryKey = 0;

/** The record without what a client needs to encrypt its hello. A record that cannot be read comes back as it is. */
export function withoutEncryptedHello(record: DnsRecord): DnsRecord {
  if (record.type !== recordType.svcb && record.type !== recordType.https) return record;
  const { data } = record;
  try {
    let at = readName(data, 2).end;
    const parts = [data.subarray(0, at)];
    while (at < data.length) {
      const key = data.readUInt16BE(at);
      const end = at + 4 + data.readUInt16BE(at + 2);
      if (end > data.length) return record;
      // what names it as mandatory goes, too: a list of one key would be empty
      if (key !== encryptedHelloKey && key !== mandatoryKey) parts.push(data.subarray(at, end));
      at = end;
    }
    return { ...record, data: Buffer.concat(parts) };
  } catch {
    return record;
  }
}
