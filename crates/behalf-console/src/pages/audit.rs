//! The verifiable log: its state, its records, and exports of them.

pub(crate) mod exports;
pub(crate) mod record;
pub(crate) mod records;

use axum::response::Response;
use behalf_http::Params;
use behalf_ledger::LedgerError;
use http::StatusCode;

use crate::error_page;

/// A hash or an id as people compare it: beginning and end.
fn shortened(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    match chars.len() {
        0..=20 => text.to_owned(),
        _ => {
            let head = chars.iter().take(8);
            let tail = chars.iter().skip(chars.len().saturating_sub(8));
            head.chain(std::iter::once(&'…')).chain(tail).collect()
        }
    }
}

/// A number with thin spaces between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// The parameters of a page's query; those of a malformed one are none.
fn params(query: Option<String>) -> Params {
    Params::from_urlencoded(query.unwrap_or_default().as_bytes()).unwrap_or_default()
}

/// Why a page of the log cannot be shown.
fn failed(error: &LedgerError) -> Response {
    match error {
        LedgerError::NotFound => {
            let text = "The log has no such record. Check the address, or start from the list.";
            error_page(StatusCode::NOT_FOUND, "Record not found", text)
        }
        error => {
            tracing::error!(%error, "a page of the log could not be shown");
            let text = "The log cannot be read right now. Nothing is lost; try again in a moment.";
            error_page(StatusCode::SERVICE_UNAVAILABLE, "Not available", text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_and_numbers_are_shown_so_that_people_can_compare_them() {
        assert_eq!(shortened("auth0|owner"), "auth0|owner");
        assert_eq!(shortened(&"0123456789abcdef".repeat(4)), "01234567…89abcdef");
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
    }
}
