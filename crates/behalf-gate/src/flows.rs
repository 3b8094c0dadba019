//! Use cases that touch two domains: one function each, one unit of work, one commit.

mod apply;
mod built_in;
mod ciba;
mod connect;
pub mod documents;
mod exchange;

pub use apply::{ApplyError, ApplyOptions, FgaSection, SetupFile, SetupOutcome, apply};
pub use built_in::{BUILT_IN_TOOLS, make_built_ins};
pub use ciba::redeem;
pub use connect::{ConnectEnd, ConnectFailure, ProviderAnswer, complete_connect, finish_connect};
pub use exchange::{
    ExchangeError, FederatedExchange, PROVIDER_TOKEN_TYPE, ProviderTokenAnswer, exchange,
};
