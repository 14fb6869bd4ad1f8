//! What can go wrong with a request, as the protocol names it.

use http::StatusCode;
use serde_json::{Value, json};

/// messages may quote what the host sent, which may be long
const MESSAGE_CHARACTERS: usize = 500;

#[derive(Debug)]
pub struct Failure {
    pub status: StatusCode,
    code: &'static str,
    message: String,
    /// symbolic, only with `cannot_start`
    errno: Option<&'static str>,
    /// what it was that failed, only with `cannot_start`
    at: Option<&'static str>,
}

impl Failure {
    fn new(status: StatusCode, code: &'static str, message: &str) -> Self {
        Failure { status, code, message: message.chars().take(MESSAGE_CHARACTERS).collect(), errno: None, at: None }
    }

    pub fn bad_request(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub fn conflict(message: &str) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    pub fn too_large(message: &str) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    pub fn too_many(message: &str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many", message)
    }

    pub fn internal(message: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// `at` is `program` or `cwd`.
    pub fn cannot_start(at: &'static str, what: &str, why: &std::io::Error) -> Self {
        let mut failure = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "cannot_start", &format!("{what}: {why}"));
        failure.at = Some(at);
        failure.errno = Some(errno_name(why.raw_os_error().unwrap_or(0)));
        failure
    }

    pub fn body(&self) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        for (name, value) in [("errno", self.errno), ("at", self.at)] {
            if let Some(value) = value {
                error[name] = value.into();
            }
        }
        json!({ "error": error })
    }
}

/// what pipe(2), fork(2), setgroups(2), chdir(2) and execve(2) may give
fn errno_name(errno: i32) -> &'static str {
    match errno {
        libc::E2BIG => "E2BIG",
        libc::EACCES => "EACCES",
        libc::EAGAIN => "EAGAIN",
        libc::EBUSY => "EBUSY",
        libc::EINVAL => "EINVAL",
        libc::EIO => "EIO",
        libc::EISDIR => "EISDIR",
        libc::ELIBBAD => "ELIBBAD",
        libc::ELOOP => "ELOOP",
        libc::EMFILE => "EMFILE",
        libc::ENAMETOOLONG => "ENAMETOOLONG",
        libc::ENFILE => "ENFILE",
        libc::ENODEV => "ENODEV",
        libc::ENOENT => "ENOENT",
        libc::ENOEXEC => "ENOEXEC",
        libc::ENOMEM => "ENOMEM",
        libc::ENOSPC => "ENOSPC",
        libc::ENOTCONN => "ENOTCONN",
        libc::ENOTDIR => "ENOTDIR",
        libc::EPERM => "EPERM",
        libc::ESTALE => "ESTALE",
        libc::ETXTBSY => "ETXTBSY",
        _ => "EUNKNOWN",
    }
}
