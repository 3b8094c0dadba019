//! The configuration: flags first, then variables, then the file, then defaults.

mod fga;
pub(crate) mod file;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use behalf_agent::ModelEndpoint;
use behalf_authz::AccessControl;
use behalf_core::Secret;
use behalf_http::{FgaAuth, FgaLimits};
use behalf_identity::Issuer;

use crate::cli::{AccessControlArgs, DatabaseArgs, DemoArgs, ModelArgs, ServeArgs, WaitArgs};
use crate::system::memory_bytes;

/// The longest time that a person may have to decide: what she saw of it is a day old then.
const LIFETIME_MAX: Duration = Duration::from_hours(24);

/// What `serve` runs with.
#[derive(Debug)]
pub struct Config {
    /// The data folder.
    pub data: PathBuf,
    /// The plain listener.
    pub http: String,
    /// The TLS listener.
    pub tls: Option<TlsConfig>,
    /// The issuer, if it was given.
    pub issuer: Option<String>,
    /// See [`ServeArgs::trust_proxy`].
    pub trusts_proxy: bool,
    /// See [`DatabaseArgs::database`].
    pub database: Option<Secret<String>>,
    /// See [`ServeArgs::root_key`].
    pub root_key: Option<String>,
    /// Set-up files.
    pub apply: Vec<PathBuf>,
    /// See [`ServeArgs::fga_auth`].
    pub fga_auth: Vec<String>,
    /// How many bytes the FGA stores in memory may take together.
    pub fga_memory_bytes: u64,
    /// See [`FgaLimitArgs`](crate::cli::FgaLimitArgs).
    pub fga_limits: FgaLimits,
    /// See [`AccessControlArgs`].
    pub fga_access_control: Option<AccessControl>,
    /// The model, if one is named.
    pub model: Option<ModelEndpoint>,
    /// See [`WaitArgs::chat_hold`].
    pub chat_hold: Duration,
    /// See [`WaitArgs::approval_lifetime`].
    pub approval_lifetime: Duration,
}

/// The TLS listener.
#[derive(Debug)]
pub struct TlsConfig {
    /// Its address.
    pub address: String,
    /// Certificate chain and key; `None`: the local CA issues them.
    pub files: Option<(PathBuf, PathBuf)>,
}

impl Config {
    /// Puts flags and defaults together.
    ///
    /// # Errors
    /// When half of a pair is given, or a value is out of bounds.
    pub fn load(args: ServeArgs) -> anyhow::Result<Self> {
        let files = match (args.tls_cert, args.tls_key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => bail!("a certificate needs its key: give both --tls-cert and --tls-key"),
        };
        let tls = match (args.tls, files) {
            (Some(address), files) => Some(TlsConfig { address, files }),
            (None, Some(files)) => {
                Some(TlsConfig { address: "127.0.0.1:8443".to_owned(), files: Some(files) })
            }
            (None, None) => None,
        };
        check_hosts(args.allow_private_egress.into_iter())?;
        let ModelArgs { model_url, model_key, model: name } = args.model;
        let AccessControlArgs { fga_access_control_store, fga_access_control_model } =
            args.access_control;
        let WaitArgs { chat_hold, approval_lifetime } = args.waits;
        Ok(Self {
            data: args.data.data,
            http: args.http.unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
            tls,
            issuer: args.issuer,
            trusts_proxy: args.trust_proxy,
            database: database(&args.database)?,
            root_key: args.root_key,
            apply: args.apply,
            fga_auth: args.fga_auth,
            fga_memory_bytes: fga_memory(args.fga_memory_mb)?,
            fga_limits: fga::limits(args.fga_limits)?,
            fga_access_control: fga::access_control(
                fga_access_control_store,
                fga_access_control_model,
            )?,
            model: model(model_url, model_key, name)?,
            chat_hold: chat_hold.map_or(crate::wiring::CHAT_HOLD, Duration::from_secs),
            approval_lifetime: lifetime(approval_lifetime)?,
        })
    }

    /// What the demo runs with: the embedded store, one plain listener, no file.
    ///
    /// # Errors
    /// When half a model is named, or a time is out of bounds.
    pub fn for_demo(args: DemoArgs) -> anyhow::Result<Self> {
        let ModelArgs { model_url, model_key, model: name } = args.model;
        let WaitArgs { chat_hold, approval_lifetime } = args.waits;
        Ok(Self {
            data: args.data,
            http: args.http,
            tls: None,
            issuer: None,
            trusts_proxy: false,
            database: None,
            root_key: None,
            apply: args.apply,
            fga_auth: Vec::new(),
            fga_memory_bytes: fga_memory(None)?,
            fga_limits: FgaLimits::default(),
            fga_access_control: None,
            model: model(model_url, model_key, name)?,
            chat_hold: chat_hold.map_or(crate::wiring::CHAT_HOLD, Duration::from_secs),
            approval_lifetime: lifetime(approval_lifetime)?,
        })
    }

    /// The issuer: as given, else the TLS listener's first name, else the plain address.
    ///
    /// # Errors
    /// When plain HTTP would be served beyond loopback without TLS in front.
    pub fn issuer(&self, certificate_name: Option<&str>) -> anyhow::Result<Issuer> {
        let derived = match (&self.issuer, &self.tls) {
            (Some(issuer), _) => issuer.clone(),
            (None, Some(tls)) => {
                let name = certificate_name.context("the certificate names no host")?;
                let port = tls.address.rsplit(':').next().unwrap_or("443");
                format!("https://{name}:{port}/")
            }
            (None, None) => format!("http://{}/", self.http),
        };
        let issuer = Issuer::parse(&derived)?;
        let is_behind_tls = issuer.is_https() && self.trusts_proxy;
        if !is_loopback(&self.http) && !is_behind_tls {
            bail!(
                "plain HTTP on {} can be reached from other machines: put a TLS proxy in front and \
                 give --issuer https://… with --trust-proxy, or listen on 127.0.0.1",
                self.http
            );
        }
        Ok(issuer)
    }

    /// Who may ask `/stores`.
    ///
    /// # Errors
    /// For an unknown mode, for `none` while a listener can be reached from elsewhere, and for what
    /// access control cannot tell apart.
    pub fn fga_auth(&self) -> anyhow::Result<FgaAuth> {
        let is_controlled = self.fga_access_control.is_some();
        if self.fga_auth.is_empty() {
            return Ok(FgaAuth { preshared: !is_controlled, ..FgaAuth::default() });
        }
        let mut auth = FgaAuth { oidc: false, preshared: false, none: false };
        for mode in &self.fga_auth {
            match mode.as_str() {
                "oidc" => auth.oidc = true,
                "preshared" => auth.preshared = true,
                "none" => auth.none = true,
                other => bail!("--fga-auth {other}: use oidc, preshared or none"),
            }
        }
        if is_controlled && (auth.preshared || auth.none) {
            bail!(
                "--fga-access-control-store asks what a client may do, and neither a preshared key \
                 nor nobody is a client: use --fga-auth oidc"
            );
        }
        let tls = self.tls.as_ref().map(|tls| tls.address.as_str());
        let is_local = is_loopback(&self.http) && tls.is_none_or(is_loopback);
        if auth.none && (!is_local || self.trusts_proxy) {
            bail!("--fga-auth none lets everybody in; it needs every listener on loopback");
        }
        if auth.none {
            tracing::warn!(
                "--fga-auth none: whoever reaches this machine may read and write tuples"
            );
        }
        Ok(auth)
    }
}

/// Refuses what is no host. Which are allowed matters once addresses that others supply are fetched.
fn check_hosts(hosts: impl Iterator<Item = String>) -> anyhow::Result<()> {
    for host in hosts {
        url::Host::parse(&host).with_context(|| {
            format!("--allow-private-egress: `{host}` is no host name or IP address")
        })?;
    }
    Ok(())
}

/// What FGA stores may take in memory, in bytes: half of what there is unless the operator says.
fn fga_memory(megabytes: Option<u64>) -> anyhow::Result<u64> {
    let given = megabytes.map(|megabytes| megabytes.saturating_mul(1_000_000));
    let half = || memory_bytes().map(|bytes| bytes / 2);
    let bytes = given.or_else(half).unwrap_or(crate::wiring::FGA_MEMORY_BYTES);
    if bytes == 0 {
        bail!("--fga-memory-mb 0: use at least 1");
    }
    Ok(bytes)
}

/// How long a person has to decide.
fn lifetime(secs: Option<u64>) -> anyhow::Result<Duration> {
    let lifetime = secs.map_or(behalf_gate::APPROVAL_LIFETIME, Duration::from_secs);
    if lifetime.is_zero() || lifetime > LIFETIME_MAX {
        bail!("--approval-lifetime {}: use 1 to {}", lifetime.as_secs(), LIFETIME_MAX.as_secs());
    }
    Ok(lifetime)
}

/// The database that is named.
///
/// # Errors
/// When the file that holds its address cannot be read.
pub fn database(args: &DatabaseArgs) -> anyhow::Result<Option<Secret<String>>> {
    args.database.clone().map(secret).transpose()
}

/// A secret as it stands, or the first line of the file that `@FILE` names.
fn secret(text: String) -> anyhow::Result<Secret<String>> {
    let Some(path) = text.strip_prefix('@') else { return Ok(Secret::new(text)) };
    let held = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    Ok(Secret::new(held.lines().next().unwrap_or_default().trim().to_owned()))
}

/// The model that was named: its address and its name together, or neither.
fn model(
    url: Option<String>,
    key: Option<String>,
    name: Option<String>,
) -> anyhow::Result<Option<ModelEndpoint>> {
    match (url, name) {
        (None, None) => Ok(None),
        (Some(url), Some(name)) => Ok(Some(ModelEndpoint {
            url: url.parse().context("--model-url")?,
            key: key.map(secret).transpose()?,
            name,
            is_scripted: false,
        })),
        _ => bail!("a model has an address and a name: give both --model-url and --model"),
    }
}

/// True if only this machine reaches the address.
pub(crate) fn is_loopback(address: &str) -> bool {
    match address.parse::<SocketAddr>() {
        Ok(address) => address.ip().is_loopback(),
        Err(_name) => address.starts_with("localhost:"),
    }
}
