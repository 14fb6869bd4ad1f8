//! A directory for files, which goes when the test ends, and what is asked about it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use h2::RecvStream;
use serde_json::Value;

use crate::client::{Client, read_json, send_all};

pub struct Place(PathBuf);

impl Place {
    pub fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("agent-files-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Place(path.canonicalize().unwrap())
    }

    pub fn join(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.0.clone() } else { self.0.join(name) }
    }

    pub fn text(&self, name: &str) -> String {
        self.join(name).to_str().unwrap().to_string()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.join(name), content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.join(name)).unwrap()
    }

    pub fn mode(&self, name: &str) -> u32 {
        fs::symlink_metadata(self.join(name)).unwrap().permissions().mode() & 0o7777
    }

    /// names in it, sorted
    pub fn names(&self) -> Vec<String> {
        names_in(&self.0)
    }

    /// the query of a connection to a socket in it
    pub fn query(&self, name: &str) -> String {
        format!("socket={}", escape(&self.text(name)))
    }

    /// `/v1/files/<what>` of something in it, with more of a query
    pub fn url(&self, what: &str, name: &str, more: &str) -> String {
        format!("/v1/files/{what}?path={}{more}", escape(&self.text(name)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

pub fn escape(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

pub async fn read_all(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len()).unwrap();
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

impl Client {
    /// Sends a body as the window allows, and gives the answer.
    pub async fn put(&mut self, url: &str, body: impl Into<Bytes>) -> (u16, Value) {
        let (response, mut stream) = self.open("PUT", url).await;
        send_all(&mut stream, body.into(), true).await;
        let response = response.await.unwrap();
        (response.status().as_u16(), read_json(response.into_body()).await)
    }

    pub async fn bytes(&mut self, url: &str) -> Vec<u8> {
        let (status, body) = self.send("GET", url, "").await;
        let bytes = read_all(body).await.unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
        bytes
    }
}
