//! Server-sent events, as models send them: the WHATWG framing, with a bound on what is kept.

use thiserror::Error;

/// The longest event, in bytes. A chunk of an answer has a few hundred.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// The stream is no stream of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum SseError {
    /// An event is longer than the bound.
    #[error("an event is longer than {EVENT_BYTES_MAX} bytes")]
    TooLong,
    /// The bytes are not UTF-8.
    #[error("the stream is not UTF-8")]
    NotUtf8,
}

/// Puts lines together from pieces that end anywhere, and events from lines.
#[derive(Debug, Default)]
pub(crate) struct SseParser {
    line: Vec<u8>,
    data: String,
    has_data: bool,
    ended_with_cr: bool,
}

impl SseParser {
    /// Reads the next piece and appends the data of every event that it completes to `events`.
    pub(crate) fn push(&mut self, piece: &[u8], events: &mut Vec<String>) -> Result<(), SseError> {
        for &byte in piece {
            // A line ends with LF, CR or CR LF.
            let follows_cr = std::mem::replace(&mut self.ended_with_cr, byte == b'\r');
            match byte {
                b'\n' if follows_cr => {}
                b'\n' | b'\r' => self.end_line(events)?,
                _ => {
                    if self.line.len().saturating_add(self.data.len()) >= EVENT_BYTES_MAX {
                        return Err(SseError::TooLong);
                    }
                    self.line.push(byte);
                }
            }
        }
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<String>) -> Result<(), SseError> {
        let line = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&line).map_err(|_error| SseError::NotUtf8)?;
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            if std::mem::take(&mut self.has_data) {
                events.push(data);
            }
            return Ok(());
        }
        // A line that begins with a colon is a comment; fields other than `data` say nothing here.
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        if field == "data" {
            if self.has_data {
                self.data.push('\n');
            }
            self.has_data = true;
            self.data.push_str(value.strip_prefix(' ').unwrap_or(value));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pieces: &[&[u8]]) -> Result<Vec<String>, SseError> {
        let (mut parser, mut events) = (SseParser::default(), Vec::new());
        for piece in pieces {
            parser.push(piece, &mut events)?;
        }
        Ok(events)
    }

    #[test]
    fn events_come_whole_however_the_stream_is_cut() {
        let stream = "\u{feff}: hello\r\n\r\ndata: {\"a\":\r\ndata:1}\r\n\r\nevent: x\ndata\n\nid: 7\n\ndata: ü\r\rdata: cut";
        let whole = parse(&[stream.as_bytes()]).unwrap();
        assert_eq!(whole, ["{\"a\":\n1}", "", "ü"]);
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(parse(&bytes).unwrap(), whole);
    }

    #[test]
    fn an_endless_line_and_foreign_bytes_are_refused() {
        let long = vec![b'x'; EVENT_BYTES_MAX + 1];
        assert_eq!(parse(&[b"data: ", &long]), Err(SseError::TooLong));
        let lines = b"data: 0123456789\n".repeat(EVENT_BYTES_MAX / 10);
        assert_eq!(parse(&[&lines]), Err(SseError::TooLong));
        assert_eq!(parse(&[b"data: \xff\n"]), Err(SseError::NotUtf8));
    }
}
