//! Writing a tar: GNU's format, which has room for long names and large numbers.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use rustix::fs::Stat;
use tar::{EntryType, Header};

use super::content::copy;

const BLOCK_BYTES: u64 = 512;
const HELD_BYTES: usize = 256 * 1024;
/// a smaller file goes out together with its header
const SMALL_BYTES: u64 = 64 * 1024;
const NAME_BYTES: usize = 100;

pub struct TarOut {
    out: BufWriter<File>,
}

impl TarOut {
    pub fn new(out: File) -> Self {
        TarOut { out: BufWriter::with_capacity(HELD_BYTES, out) }
    }

    /// An entry without content.
    pub fn entry(&mut self, name: &[u8], kind: EntryType, found: &Stat, target: Option<&[u8]>) -> io::Result<()> {
        self.header(name, kind, found, 0, target)
    }

    /// A file's entry and content: `size` bytes, with zeros for what is missing. Gives whether none were.
    pub fn file(&mut self, name: &[u8], found: &Stat, size: u64, file: &File) -> io::Result<bool> {
        self.header(name, EntryType::Regular, found, size, None)?;
        let mut content = file.take(size);
        let copied = if size <= SMALL_BYTES {
            let mut bytes = Vec::with_capacity(size as usize);
            let _ = content.read_to_end(&mut bytes); // what cannot be read is missing
            self.out.write_all(&bytes)?;
            bytes.len() as u64
        } else {
            self.out.flush()?;
            copy(&mut content, self.out.get_mut())?
        };
        self.zeros(size - copied + padding(size))?;
        Ok(copied == size)
    }

    /// Something for the reader to know, which other programs pass over.
    pub fn notice(&mut self, text: &str) -> io::Result<()> {
        let record = record("WORKFORT.notice", text);
        self.plain("notice", EntryType::XGlobalHeader, record.as_bytes())
    }

    pub fn finish(mut self) -> io::Result<()> {
        self.zeros(2 * BLOCK_BYTES)?;
        self.out.flush()
    }

    fn header(
        &mut self,
        name: &[u8],
        kind: EntryType,
        found: &Stat,
        size: u64,
        target: Option<&[u8]>,
    ) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(found.st_mode & 0o7777);
        header.set_uid(found.st_uid.into());
        header.set_gid(found.st_gid.into());
        header.set_mtime(u64::try_from(found.st_mtime).unwrap_or(0));
        header.set_size(size);
        if let Some(target) = target {
            self.long(EntryType::GNULongLink, target)?;
            put(&mut header.as_old_mut().linkname, target);
        }
        self.long(EntryType::GNULongName, name)?;
        put(&mut header.as_old_mut().name, name);
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    /// A name that the header has no room for goes before it.
    fn long(&mut self, kind: EntryType, name: &[u8]) -> io::Result<()> {
        if name.len() <= NAME_BYTES {
            return Ok(());
        }
        self.plain("././@LongLink", kind, &[name, b"\0"].concat())
    }

    fn plain(&mut self, name: &str, kind: EntryType, content: &[u8]) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        put(&mut header.as_old_mut().name, name.as_bytes());
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(content)?;
        self.zeros(padding(content.len() as u64))
    }

    fn zeros(&mut self, count: u64) -> io::Result<()> {
        io::copy(&mut io::repeat(0).take(count), &mut self.out).map(drop)
    }
}

fn put(field: &mut [u8], name: &[u8]) {
    let length = name.len().min(field.len());
    field[..length].copy_from_slice(&name[..length]);
}

fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK_BYTES) - size
}

/// A record of an extended header, which begins with its own length.
fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    format!("{length}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        assert_eq!(record("a", "b"), "6 a=b\n");
        let long = record("k", &"v".repeat(95));
        assert_eq!(long.split_once(' ').unwrap().0, long.len().to_string());
    }
}
