//! Static files: in the binary, at addresses that change with their content, cached for ever.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

/// A file.
struct Asset {
    stem: &'static str,
    extension: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

const STYLESHEET: Asset = Asset {
    stem: "console",
    extension: "css",
    content_type: "text/css; charset=utf-8",
    bytes: include_bytes!("../static/console.css"),
};

const SCRIPT: Asset = Asset {
    stem: "console",
    extension: "js",
    content_type: "text/javascript; charset=utf-8",
    bytes: include_bytes!("../static/console.js"),
};

const FAVICON: Asset = Asset {
    stem: "favicon",
    extension: "svg",
    content_type: "image/svg+xml",
    bytes: include_bytes!("../static/favicon.svg"),
};

const CHAT_SCRIPT: Asset = Asset {
    stem: "chat",
    extension: "js",
    content_type: "text/javascript; charset=utf-8",
    bytes: include_bytes!("../static/chat.js"),
};

const EDITOR_SCRIPT: Asset = Asset {
    stem: "editor",
    extension: "js",
    content_type: "text/javascript; charset=utf-8",
    bytes: include_bytes!("../static/editor.js"),
};

impl Asset {
    fn file_name(&self) -> String {
        format!("{}.{:016x}.{}", self.stem, fnv1a(self.bytes), self.extension)
    }
}

/// The stylesheet's address.
pub(crate) fn stylesheet() -> String {
    format!("/assets/{}", STYLESHEET.file_name())
}

/// The address of the chat page's script.
pub(crate) fn chat_script() -> String {
    format!("/assets/{}", CHAT_SCRIPT.file_name())
}

/// The address of the model editor's script.
pub(crate) fn editor_script() -> String {
    format!("/assets/{}", EDITOR_SCRIPT.file_name())
}

/// The script's address.
pub(crate) fn script() -> String {
    format!("/assets/{}", SCRIPT.file_name())
}

/// The icon's address.
pub(crate) fn favicon() -> String {
    format!("/assets/{}", FAVICON.file_name())
}

/// `/assets/{file}`.
pub(crate) async fn get(Path(file): Path<String>) -> Response {
    let all = [&STYLESHEET, &SCRIPT, &CHAT_SCRIPT, &EDITOR_SCRIPT, &FAVICON];
    match all.into_iter().find(|asset| asset.file_name() == file) {
        Some(asset) => {
            let headers = [
                (header::CONTENT_TYPE, asset.content_type),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ];
            (StatusCode::OK, headers, asset.bytes).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// FNV-1a, 64 bits: tells contents apart, protects nothing.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        hash ^= *byte as u64;
        hash = hash.wrapping_mul(0x0100_0000_01b3);
        rest = tail;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A brace lost in a merge hides every rule behind it from screens of another width.
    #[test]
    fn every_block_of_the_stylesheet_is_closed() {
        let mut depth = 0_i32;
        for byte in STYLESHEET.bytes {
            match byte {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                _ => {}
            }
            assert!((0..=2).contains(&depth), "depth {depth}");
        }
        assert_eq!(depth, 0);
    }
}
