//! Numbers as ECMAScript prints them (RFC 8785 §3.2.2.3, ECMA-262 `Number::toString`).

use serde_json::Number;

/// `double` as ECMAScript prints it: the fewest digits that read back as the same double.
/// `NaN` and the infinities, which JSON cannot hold, print as `null`.
pub fn format_double(double: f64) -> String {
    // The digits are serde_json's: where two shortest texts are equally near it takes the even
    // one, as RFC 8785 wants it, while the standard library's `{:e}` takes the larger one.
    let Some(number) = Number::from_f64(double.abs()) else { return "null".to_owned() };
    let text = number.to_string();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    // The value is 0.SIGNIFICANT × 10^point.
    let point = exponent
        .parse::<i32>()
        .unwrap_or(0)
        .saturating_add(len(whole))
        .saturating_sub(len(&digits).saturating_sub(len(significant)));
    let significant = significant.trim_end_matches('0');
    if significant.is_empty() {
        // Also for minus zero.
        return "0".to_owned();
    }
    let sign = if double < 0.0 { "-" } else { "" };
    format!("{sign}{}", place_point(significant, point))
}

fn place_point(digits: &str, point: i32) -> String {
    let count = len(digits);
    if (-5..=0).contains(&point) {
        format!("0.{}{digits}", zeros(point.saturating_neg()))
    } else if (1..=21).contains(&point) {
        if point >= count {
            return format!("{digits}{}", zeros(point.saturating_sub(count)));
        }
        let (whole, fraction) = split(digits, point);
        format!("{whole}.{fraction}")
    } else {
        let exponent = point.saturating_sub(1);
        let sign = if exponent < 0 { '-' } else { '+' };
        let exponent = exponent.unsigned_abs();
        match split(digits, 1) {
            (first, "") => format!("{first}e{sign}{exponent}"),
            (first, rest) => format!("{first}.{rest}e{sign}{exponent}"),
        }
    }
}

fn split(digits: &str, at: i32) -> (&str, &str) {
    usize::try_from(at).ok().and_then(|at| digits.split_at_checked(at)).unwrap_or((digits, ""))
}

fn zeros(count: i32) -> String {
    "0".repeat(usize::try_from(count).unwrap_or(0))
}

fn len(digits: &str) -> i32 {
    i32::try_from(digits.len()).unwrap_or(i32::MAX)
}
