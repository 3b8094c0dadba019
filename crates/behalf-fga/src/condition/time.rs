//! Readers of durations and addresses, as strict as the ones OpenFGA uses (Go's), and how numbers
//! are written.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use super::functions::unmapped;
use super::value::Address;

/// Go's `time.ParseDuration`: signed decimal numbers with units, in nanoseconds.
pub(crate) fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration \"{text}\"");
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (whole, after) = split_digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end).ok_or_else(invalid)?;
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(invalid()),
        };
        if whole.len() > 19 {
            return Err(invalid());
        }
        total += whole.parse::<i128>().unwrap_or(0) * unit;
        // Digits past the 18th are far below a nanosecond of the largest unit.
        let fraction = fraction.get(..18).unwrap_or(fraction);
        let mut scale: i128 = 1;
        let mut value: i128 = 0;
        for digit in fraction.chars().filter_map(|c| c.to_digit(10)) {
            value = value * 10 + i128::from(digit);
            scale *= 10;
        }
        total += value * unit / scale;
        if total > i128::from(i64::MAX) + 1 {
            return Err(invalid());
        }
        rest = after;
    }
    i64::try_from(if is_negative { -total } else { total }).map_err(|_| invalid())
}

pub(super) fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// A double as CEL prints it: Go's `%g`, the shortest digits, with an exponent from 1e+06 on.
pub(crate) fn double_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// A duration as CEL prints it: seconds with a fraction.
pub(crate) fn seconds_text(nanos: i64) -> String {
    let (seconds, fraction) = (nanos / 1_000_000_000, (nanos % 1_000_000_000).abs());
    let sign = if nanos < 0 && seconds == 0 { "-" } else { "" };
    if fraction == 0 {
        return format!("{seconds}s");
    }
    let fraction = format!("{fraction:09}");
    format!("{sign}{seconds}.{}s", fraction.trim_end_matches('0'))
}

/// Go's `netip.ParseAddr`, then IPv4 taken out of IPv6.
pub(crate) fn parse_address(text: &str) -> Result<Address, String> {
    let invalid = || format!("ParseAddr(\"{text}\"): unable to parse IP");
    let (ip, zone) = match text.split_once('%') {
        Some((_, "")) => return Err(invalid()),
        Some((ip, zone)) => (ip, Some(Arc::from(zone))),
        None => (text, None),
    };
    let ip: IpAddr = ip.parse().map_err(|_| invalid())?;
    if zone.is_some() && ip.to_canonical().is_ipv4() {
        return Err(invalid());
    }
    Ok(unmapped(Address { ip, zone }))
}

/// True if the address lies in the block; a malformed block is an error.
pub(crate) fn in_cidr(address: &Address, cidr: &str) -> Result<bool, String> {
    let invalid = || format!("netip.ParsePrefix(\"{cidr}\"): invalid prefix");
    let (network, bits) = cidr.rsplit_once('/').ok_or_else(invalid)?;
    let is_canonical = bits == "0" || bits.bytes().next().is_some_and(|first| first != b'0');
    if !is_canonical || !bits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid());
    }
    let network: IpAddr = network.parse().map_err(|_| invalid())?;
    let mut bits: u32 = bits.parse().map_err(|_| invalid())?;
    if bits > if network.is_ipv4() { 32 } else { 128 } {
        return Err(invalid());
    }
    let mut network = network;
    if let IpAddr::V6(v6) = network
        && let Some(v4) = v6.to_ipv4_mapped()
        && bits >= 96
    {
        network = IpAddr::V4(v4);
        bits -= 96;
    }
    if address.zone.is_some() {
        return Ok(false);
    }
    Ok(match (network, address.ip) {
        (IpAddr::V4(network), IpAddr::V4(ip)) => {
            shares_prefix(u32::from(network).into(), u32::from(ip).into(), 32, bits)
        }
        (IpAddr::V6(network), IpAddr::V6(ip)) => {
            let wide = |ip: Ipv6Addr| u128::from(ip);
            shares_prefix(wide(network), wide(ip), 128, bits)
        }
        _ => false,
    })
}

fn shares_prefix(a: u128, b: u128, width: u32, bits: u32) -> bool {
    (a ^ b).checked_shr(width - bits).unwrap_or(0) == 0
}
