//! What a model call costs, from a table that names its source and date. A model that is not in it
//! has no cost: unknown is told as unknown, never as zero.

/// Where the prices come from.
pub const PRICE_SOURCE: &str = "the vendors' public list prices for standard processing: \
    openai.com/api/pricing, anthropic.com/pricing, ai.google.dev/gemini-api/docs/pricing";
/// When they held.
pub const PRICE_DATE: &str = "2026-01";

/// The prices of a model, in micro-USD per million tokens.
struct Price {
    /// The model, which may be followed by `-` and a date.
    model: &'static str,
    input: i64,
    cached: i64,
    output: i64,
}

const fn price(model: &'static str, input: i64, cached: i64, output: i64) -> Price {
    Price { model, input, cached, output }
}

/// An exact name with a date stands before the name without.
const PRICES: &[Price] = &[
    price("gpt-5", 1_250_000, 125_000, 10_000_000),
    price("gpt-5-mini", 250_000, 25_000, 2_000_000),
    price("gpt-5-nano", 50_000, 5_000, 400_000),
    price("gpt-5.1", 1_250_000, 125_000, 10_000_000),
    price("gpt-5.2", 1_750_000, 175_000, 14_000_000),
    price("gpt-4.1", 2_000_000, 500_000, 8_000_000),
    price("gpt-4.1-mini", 400_000, 100_000, 1_600_000),
    price("gpt-4.1-nano", 100_000, 25_000, 400_000),
    price("gpt-4o-2024-05-13", 5_000_000, 5_000_000, 15_000_000),
    price("gpt-4o", 2_500_000, 1_250_000, 10_000_000),
    price("gpt-4o-mini", 150_000, 75_000, 600_000),
    price("o3", 2_000_000, 500_000, 8_000_000),
    price("o4-mini", 1_100_000, 275_000, 4_400_000),
    price("text-embedding-3-small", 20_000, 20_000, 0),
    price("text-embedding-3-large", 130_000, 130_000, 0),
    price("claude-opus-4-5", 5_000_000, 500_000, 25_000_000),
    price("claude-sonnet-4-5", 3_000_000, 300_000, 15_000_000),
    price("claude-haiku-4-5", 1_000_000, 100_000, 5_000_000),
    price("claude-sonnet-4", 3_000_000, 300_000, 15_000_000),
    price("claude-3-5-haiku", 800_000, 80_000, 4_000_000),
    price("gemini-2.5-flash", 300_000, 30_000, 2_500_000),
];

/// What a call of `model` costs in micro-USD, rounded to the nearest, half up; `None` when the
/// model has no price. Tokens from the cache are among those read (OpenTelemetry v1.41).
pub fn cost_micro_usd(model: &str, input: i64, cached: i64, output: i64) -> Option<i64> {
    let price = PRICES.iter().find(|price| is_model(model, price.model))?;
    let cached = cached.clamp(0, input.max(0));
    let of = |tokens: i64, price: i64| i128::from(tokens.max(0)) * i128::from(price);
    let sum = of(input.saturating_sub(cached), price.input)
        + of(cached, price.cached)
        + of(output, price.output);
    i64::try_from((sum + 500_000) / 1_000_000).ok()
}

/// True if `name` is `model`, or `model` with a date.
fn is_model(name: &str, model: &str) -> bool {
    let Some(rest) = name.strip_prefix(model) else { return false };
    let is_date =
        |rest: &str| rest.len() >= 8 && rest.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    rest.is_empty() || rest.strip_prefix('-').is_some_and(is_date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_costs_what_the_table_says() {
        assert_eq!(cost_micro_usd("gpt-4o", 1_000, 0, 100), Some(3_500));
        assert_eq!(cost_micro_usd("gpt-4o-2024-11-20", 1_000, 0, 100), Some(3_500));
        assert_eq!(cost_micro_usd("gpt-4o-2024-05-13", 1_000, 0, 100), Some(6_500));
        assert_eq!(cost_micro_usd("gpt-4o-mini-2024-07-18", 84, 0, 14), Some(21));
        // Cached tokens are among those read and cost less.
        assert_eq!(cost_micro_usd("gpt-4o", 1_000, 1_000, 0), Some(1_250));
        assert_eq!(cost_micro_usd("gpt-4o", 1_000, 5_000, 0), Some(1_250));
    }

    #[test]
    fn a_model_without_a_price_has_no_cost() {
        for unknown in ["", "gpt", "gpt-4o-audio-preview", "scripted", "gpt-4omni", "gpt-5.9"] {
            assert_eq!(cost_micro_usd(unknown, 1, 0, 1), None, "{unknown}");
        }
    }
}
