//! Secrets that cannot be printed, and where they come from.

use std::fmt;

use super::config::ConfigError;

/// Shortest secret that is accepted, bytes: 192 bits, as Standard Webhooks asks.
pub const SECRET_BYTES_MIN: usize = 24;

/// Key material. `Debug` shows its presence only, and there is no `Display`.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes key material in; `env` names the variable it came from and is all an error shows.
    ///
    /// Errors: `ConfigError::WeakSecret` below [`SECRET_BYTES_MIN`] bytes.
    pub fn new(bytes: Vec<u8>, env: &str) -> Result<Self, ConfigError> {
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(ConfigError::WeakSecret { env: env.to_owned(), bytes: bytes.len() });
        }
        Ok(Secret(bytes))
    }

    /// The bytes, for the one computation that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Reads variable `env`, without the line end that a file or a shell may have left on it.
pub(super) fn from_env(
    env: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, ConfigError> {
    let value = lookup(env).ok_or_else(|| ConfigError::MissingSecret { env: env.to_owned() })?;
    Ok(value.trim_end_matches(['\r', '\n']).to_owned())
}
