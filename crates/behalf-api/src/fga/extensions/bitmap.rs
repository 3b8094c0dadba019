//! Answers as Roaring bitmaps in the portable format (`RoaringFormatSpec`), for a database or a search
//! index to filter by.

use axum::response::IntoResponse as _;
use http::header::{self, HeaderMap};
use roaring::{RoaringBitmap, RoaringTreemap};

use super::Answered;
use crate::fga::call::Stamp;
use crate::fga::error::FgaError;

/// What `Accept` names to get one.
const MEDIA_TYPE: &str = "application/vnd.roaring";

/// True if the caller asks for a bitmap.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let mut names = lines
        .flat_map(|line| line.split(','))
        .map(|range| range.split(';').next().unwrap_or(range).trim());
    names.any(|name| name.eq_ignore_ascii_case(MEDIA_TYPE))
}

/// The places, from 0, of what is allowed.
pub(super) fn of_places(answers: &[bool]) -> RoaringBitmap {
    (0..).zip(answers).filter(|(_, is_allowed)| **is_allowed).map(|(place, _)| place).collect()
}

/// The ids of the objects, as numbers of 64 bits. Each number has one id, so one that is written
/// another way than in plain decimal digits is an error, not another object's number.
pub(super) fn of_objects(objects: &[String]) -> Result<RoaringTreemap, FgaError> {
    let number = |object: &String| {
        let id = object.split_once(':').map_or("", |(_, id)| id);
        let is_plain =
            id.bytes().all(|byte| byte.is_ascii_digit()) && (id == "0" || !id.starts_with('0'));
        let number = if is_plain { id.parse::<u64>().ok() } else { None };
        number.ok_or_else(|| {
            FgaError::validation(format!(
                "a bitmap holds objects whose ids are decimal numbers of 64 bits; `{object}` is none"
            ))
        })
    };
    objects.iter().map(number).collect()
}

/// The answer to a call.
pub(super) fn response(mut bitmap: impl Portable, stamp: &Stamp) -> Answered {
    let mut bytes = Vec::new();
    bitmap.write(&mut bytes).map_err(|_| FgaError::internal("the bitmap could not be written"))?;
    let headers = [(header::CONTENT_TYPE, MEDIA_TYPE), (header::CACHE_CONTROL, "no-store")];
    let mut response = (headers, bytes).into_response();
    stamp.put(response.headers_mut());
    Ok(response)
}

/// What can be written in the portable format, runs as runs.
pub(super) trait Portable {
    fn write(&mut self, bytes: &mut Vec<u8>) -> std::io::Result<()>;
}

impl Portable for RoaringBitmap {
    fn write(&mut self, bytes: &mut Vec<u8>) -> std::io::Result<()> {
        self.optimize();
        self.serialize_into(bytes)
    }
}

impl Portable for RoaringTreemap {
    fn write(&mut self, bytes: &mut Vec<u8>) -> std::io::Result<()> {
        self.optimize();
        self.serialize_into(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| format!("doc:{id}")).collect()
    }

    #[test]
    fn a_number_has_one_id() {
        let numbers = of_objects(&objects(&["0", "7", "4294967296", "18446744073709551615"]));
        let numbers: Vec<u64> = numbers.unwrap().iter().collect();
        assert_eq!(numbers, [0, 7, 1 << 32, u64::MAX]);
        for wrong in ["", "07", "00", "+7", "-1", "1.0", "x", "18446744073709551616", "7:7", "٣"] {
            let error = of_objects(&objects(&["1", wrong])).unwrap_err();
            assert!(error.message().contains(&format!("`doc:{wrong}`")), "{}", error.message());
        }
    }

    #[test]
    fn a_bitmap_is_given_to_whom_it_is_asked_by() {
        for (accept, is_wanted) in [
            ("application/vnd.roaring", true),
            ("application/json, Application/vnd.roaring;q=0.9", true),
            ("application/json", false),
            ("*/*", false),
            ("application/vnd.roaringer", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(super::is_wanted(&headers), is_wanted, "{accept}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }
}
