//! Where the database is: the address as PostgreSQL's own tools read it, and how its server shows
//! that it is the right one.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use url::form_urlencoded;

use crate::error::StoreError;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bounds that every session has: a statement, a wait for a lock, a transaction that does nothing.
const SESSION: &str = "-c statement_timeout=30s -c lock_timeout=10s \
    -c idle_in_transaction_session_timeout=10s";

/// A parsed address.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) config: Config,
    /// The authorities that sign the server's certificate; `None`: those of the machine.
    pub(super) root_certificates: Option<PathBuf>,
}

impl Address {
    /// Reads `postgres://…` with libpq's parameters. A server that is not on this machine is asked
    /// for TLS and its certificate is always verified, unless `sslmode=disable` says otherwise.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(invalid("it does not begin with postgres://"));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut root_certificates, mut rest) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("sslmode", value) => mode = Some(value),
                ("sslrootcert", value) => root_certificates = Some(PathBuf::from(decoded(value))),
                _ => rest.push(pair),
            }
        }
        let mut config: Config = format!("{base}?{}", rest.join("&"))
            .parse()
            .map_err(|error: tokio_postgres::Error| invalid(&cause(&error)))?;
        if config.get_hosts().is_empty() {
            return Err(invalid("it names no host"));
        }
        config.ssl_mode(match mode {
            None if is_local(&config) => SslMode::Disable,
            Some("disable") => SslMode::Disable,
            None | Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
            Some("allow" | "prefer") => {
                return Err(invalid("this sslmode would accept any server; use `require`"));
            }
            Some(_) => return Err(invalid("its sslmode is unknown; use `require` or `disable`")),
        });
        let options = match config.get_options() {
            Some(own) => format!("{SESSION} {own}"),
            None => SESSION.to_owned(),
        };
        config
            .options(options)
            .application_name("behalf")
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(Duration::from_secs(15))
            .keepalives_idle(Duration::from_secs(30));
        Ok(Self { config, root_certificates })
    }
}

/// True if the connection cannot leave this machine.
fn is_local(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    })
}

/// A percent-encoded value; `+` stands for itself, as in libpq.
fn decoded(value: &str) -> String {
    let pair = format!("v={}", value.replace('+', "%2B"));
    form_urlencoded::parse(pair.as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

fn cause(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Never with the address itself, which may hold a password.
fn invalid(why: &str) -> StoreError {
    StoreError::Internal { reason: format!("the database's address cannot be used: {why}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        Address::parse(url).unwrap().config.get_ssl_mode()
    }

    #[test]
    fn a_server_elsewhere_must_show_a_certificate() {
        assert_eq!(mode("postgres://db.example/behalf"), SslMode::Require);
        assert_eq!(mode("postgres://db.example/behalf?sslmode=verify-full"), SslMode::Require);
        assert_eq!(mode("postgres://127.0.0.1,db.example/behalf"), SslMode::Require);
        assert_eq!(mode("postgres://db.example/behalf?sslmode=disable"), SslMode::Disable);
        assert!(Address::parse("postgres://db.example/behalf?sslmode=prefer").is_err());
        assert!(Address::parse("postgres://db.example/behalf?sslmode=verify").is_err());
    }

    #[test]
    fn a_socket_or_loopback_needs_none() {
        assert_eq!(mode("postgres://me@%2Frun%2Fpostgresql/behalf"), SslMode::Disable);
        assert_eq!(mode("postgres://me@/behalf?host=/run/postgresql"), SslMode::Disable);
        assert_eq!(mode("postgresql://127.0.0.1:5433/behalf"), SslMode::Disable);
        assert_eq!(mode("postgres://localhost/behalf?sslmode=require"), SslMode::Require);
    }

    #[test]
    fn an_error_does_not_show_the_password() {
        for url in ["postgres://me:hunter2@:x/db", "mysql://me:hunter2@h/db", "postgres://"] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn own_options_and_certificates_are_kept() {
        let url = "postgres://h/db?options=-c%20search_path%3Dx&sslrootcert=/etc/a%20b+c.pem";
        let address = Address::parse(url).unwrap();
        assert!(address.config.get_options().unwrap().ends_with("-c search_path=x"));
        assert_eq!(address.root_certificates.unwrap(), PathBuf::from("/etc/a b+c.pem"));
    }
}
