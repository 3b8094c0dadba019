//! Counts in words.

/// A count with its thousands apart and its noun: `1 tuple`, `1,200 tuples`. What no count can be is
/// shown as the largest.
#[must_use]
pub fn counted(number: impl TryInto<u64>, one: &str, many: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// A count with its thousands apart: `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digits.len().saturating_sub(index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_its_own_word_and_thousands_stand_apart() {
        assert_eq!(counted(1, "tuple", "tuples"), "1 tuple");
        assert_eq!(counted(0, "tuple", "tuples"), "0 tuples");
        assert_eq!(counted(1_200, "tuple", "tuples"), "1,200 tuples");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
