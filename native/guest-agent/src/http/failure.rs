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
    /// symbolic, only where the kernel refused
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

    /// What a later version of the protocol may know: the host has to tell it from what is wrong or missing.
    pub fn unsupported(message: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "unsupported", message)
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

    /// What the kernel said to an operation on files, `what` being its object.
    pub fn of_file(what: &str, why: &std::io::Error) -> Self {
        let errno = why.raw_os_error().unwrap_or(0);
        let (status, code) = match errno {
            libc::ENOENT => (404, "not_found"),
            libc::EACCES | libc::EPERM | libc::EROFS => (403, "permission_denied"),
            libc::EEXIST => (409, "exists"),
            libc::ENOTDIR => (409, "not_a_directory"),
            libc::EISDIR => (409, "is_a_directory"),
            libc::ENOTEMPTY => (409, "not_empty"),
            libc::EINVAL | libc::ENAMETOOLONG => (400, "bad_request"),
            libc::EFBIG => (413, "too_large"),
            libc::ENOSPC | libc::EDQUOT => (507, "no_space"),
            _ => (422, "file_failed"),
        };
        let status = StatusCode::from_u16(status).unwrap_or_default();
        let mut failure = Self::new(status, code, &format!("{what}: {why}"));
        failure.errno = (errno != 0).then(|| errno_name(errno));
        failure
    }

    /// Nothing in the guest takes a connection there.
    pub fn connection_refused(message: &str) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "connection_refused", message)
    }

    /// A pipe, a socket or a device where a file with content is needed.
    pub fn not_a_file(what: &str) -> Self {
        Self::new(StatusCode::CONFLICT, "not_a_file", &format!("{what}: not a regular file"))
    }

    /// An archive that would write elsewhere, or that is none.
    pub fn bad_archive(message: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_archive", message)
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

/// what the calls of a start, and those on files, may give
fn errno_name(errno: i32) -> &'static str {
    match errno {
        libc::E2BIG => "E2BIG",
        libc::EACCES => "EACCES",
        libc::EAGAIN => "EAGAIN",
        libc::EBUSY => "EBUSY",
        libc::EDQUOT => "EDQUOT",
        libc::EEXIST => "EEXIST",
        libc::EFBIG => "EFBIG",
        libc::EINVAL => "EINVAL",
        libc::EIO => "EIO",
        libc::EISDIR => "EISDIR",
        libc::ELIBBAD => "ELIBBAD",
        libc::ELOOP => "ELOOP",
        libc::EMFILE => "EMFILE",
        libc::ENAMETOOLONG => "ENAMETOOLONG",
        libc::EMLINK => "EMLINK",
        libc::ENFILE => "ENFILE",
        libc::ENODEV => "ENODEV",
        libc::ENOENT => "ENOENT",
        libc::ENOEXEC => "ENOEXEC",
        libc::ENOMEM => "ENOMEM",
        libc::ENOSPC => "ENOSPC",
        libc::ENOSYS => "ENOSYS",
        libc::ENOTCONN => "ENOTCONN",
        libc::ENOTDIR => "ENOTDIR",
        libc::ENOTEMPTY => "ENOTEMPTY",
        libc::ENXIO => "ENXIO",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::EPERM => "EPERM",
        libc::EROFS => "EROFS",
        libc::ESTALE => "ESTALE",
        libc::ETIMEDOUT => "ETIMEDOUT",
        libc::ETXTBSY => "ETXTBSY",
        libc::EXDEV => "EXDEV",
        _ => "EUNKNOWN",
    }
}
