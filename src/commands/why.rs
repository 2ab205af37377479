//! `highwater why`: what the next result of a view waits for, asked of the running service.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::print;
use crate::cli;
use crate::web::Service;

/// What of `/v1/why` is printed.
#[derive(Debug, Deserialize)]
struct Why {
    next: String,
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    error: String,
}

pub(crate) fn why(why: &cli::Why) -> Result<()> {
    let service = Service::at(&why.url, why.token_env.as_deref())?;
    let answer = service.get(&path(&why.view, &why.key))?;
    match answer.status {
        200 => {}
        401 | 403 => bail!(
            "{} wants a token with the role `read`; name its variable with --token-env",
            why.url
        ),
        status => match serde_json::from_slice(&answer.body) {
            Ok(Refusal { error }) => bail!(error),
            Err(_) => bail!("{} answered {status}", why.url),
        },
    }
    let said: Why = serde_json::from_slice(&answer.body)
        .context("that is not an explanation: is it the service?")?;
    let text = said.text.map_or(String::new(), |text| format!("{text}\n"));
    print(&format!("{}\n{text}", said.next))
}

fn path(view: &str, key: &[String]) -> String {
    let named = |value: &String| format!("&key={}", encoded(value));
    let keys: Vec<String> = key.iter().map(named).collect();
    format!("/v1/why?view={}{}", encoded(view), keys.concat())
}

/// A value as it may stand in a query.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let byte = |byte: u8| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_may_be_anything() {
        let key = ["Kundenservice Köln".to_owned(), "a&b=c".to_owned()];
        assert_eq!(
            path("queue_now", &key),
            "/v1/why?view=queue_now&key=Kundenservice%20K%C3%B6ln&key=a%26b%3Dc"
        );
    }
}
