//! The one ASN.1 structure JOSE needs taken apart: `RSAPublicKey ::= SEQUENCE { n, e }`
//! (RFC 8017 §A.1.1).

/// The modulus and the exponent, big-endian without leading zeros.
pub(super) fn modulus_and_exponent(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, rest) = element(der, SEQUENCE)?;
    let (modulus, after) = element(sequence, INTEGER)?;
    let (exponent, end) = element(after, INTEGER)?;
    (rest.is_empty() && end.is_empty()).then(|| (positive(modulus), positive(exponent)))
}

/// The contents of the element at the start of `der`, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
        if bytes.len() > 2 {
            return None;
        }
        (bytes.iter().fold(0, |len, &byte| (len << 8) | usize::from(byte)), rest)
    };
    if found == tag { rest.split_at_checked(len) } else { None }
}

/// DER puts a zero before an integer whose first bit is set.
fn positive(integer: &[u8]) -> &[u8] {
    integer.strip_prefix(&[0]).unwrap_or(integer)
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
