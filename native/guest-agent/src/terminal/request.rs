//! What the host may ask of terminals, checked.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::screen::Size;
use crate::http::Failure;
use crate::process::request::root;

const LONGEST_SIDE: u16 = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateRequest {
    pub id: String,
    /// the user's login shell if absent
    pub argv: Option<Vec<String>>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    pub cwd: Option<String>,
    #[serde(default = "root")]
    pub user: String,
    #[serde(default = "default_columns")]
    pub columns: u16,
    #[serde(default = "default_rows")]
    pub rows: u16,
}

fn default_columns() -> u16 {
    80
}

fn default_rows() -> u16 {
    24
}

impl Size {
    pub fn check(self) -> Result<Self, Failure> {
        let sides = 1..=LONGEST_SIDE;
        if sides.contains(&self.columns) && sides.contains(&self.rows) {
            return Ok(self);
        }
        Err(Failure::bad_request("columns, rows: 1 to 1000"))
    }
}
