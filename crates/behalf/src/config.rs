//! The configuration: flags and variables first, then the file, then defaults.

mod fga;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use behalf_agent::ModelEndpoint;
use behalf_authz::AccessControl;
use behalf_core::Secret;
use behalf_http::{FgaAuth, FgaLimits};
use behalf_identity::Issuer;
use serde::Deserialize;

use crate::cli::{DataArgs, DatabaseArgs, DemoArgs, FgaLimitArgs, ModelArgs, ServeArgs, WaitArgs};
use crate::system::memory_bytes;

/// What the configuration file may say; the names are the flags'.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct FileConfig {
    http: Option<String>,
    tls: Option<String>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    issuer: Option<String>,
    trust_proxy: Option<bool>,
    database: Option<String>,
    root_key: Option<String>,
    apply: Vec<PathBuf>,
    fga_auth: Vec<String>,
    fga_memory_mb: Option<u64>,
    fga_access_control_store: Option<String>,
    fga_access_control_model: Option<String>,
    #[serde(flatten)]
    fga_limits: FgaLimitArgs,
    allow_private_egress: Vec<String>,
    model_url: Option<String>,
    model_key: Option<String>,
    model: Option<String>,
    chat_hold: Option<u64>,
    approval_lifetime: Option<u64>,
}

const KEYS: [&str; 27] = [
    "http",
    "tls",
    "tls-cert",
    "tls-key",
    "issuer",
    "trust-proxy",
    "database",
    "root-key",
    "apply",
    "fga-auth",
    "fga-memory-mb",
    "fga-access-control-store",
    "fga-access-control-model",
    "fga-list-objects-max-results",
    "fga-list-objects-deadline",
    "fga-list-users-max-results",
    "fga-list-users-deadline",
    "fga-resolve-node-limit",
    "fga-changelog-horizon-offset",
    "fga-max-tuples-per-write",
    "fga-max-checks-per-batch-check",
    "allow-private-egress",
    "model-url",
    "model-key",
    "model",
    "chat-hold",
    "approval-lifetime",
];

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
    /// See [`FgaLimitArgs`].
    pub fga_limits: FgaLimits,
    /// See [`AccessControlArgs`](crate::cli::AccessControlArgs).
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
    /// Puts flags, file and defaults together.
    ///
    /// # Errors
    /// When the file cannot be read or has a key that is not known.
    pub fn load(args: ServeArgs) -> anyhow::Result<Self> {
        let default_file = args.data.data.join("behalf.toml");
        let file = match args.config {
            Some(path) => read_file(&path)?,
            None if default_file.exists() => read_file(&default_file)?,
            None => FileConfig::default(),
        };
        let files = match (args.tls_cert.or(file.tls_cert), args.tls_key.or(file.tls_key)) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => bail!("a certificate needs its key: give both --tls-cert and --tls-key"),
        };
        let address = args.tls.or(file.tls);
        let tls = match (address, files) {
            (Some(address), files) => Some(TlsConfig { address, files }),
            (None, Some(files)) => {
                Some(TlsConfig { address: "127.0.0.1:8443".to_owned(), files: Some(files) })
            }
            (None, None) => None,
        };
        let private = args.allow_private_egress.into_iter().chain(file.allow_private_egress);
        check_hosts(private)?;
        Ok(Self {
            data: args.data.data,
            http: args.http.or(file.http).unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
            tls,
            issuer: args.issuer.or(file.issuer),
            trusts_proxy: args.trust_proxy || file.trust_proxy.unwrap_or(false),
            database: args.database.database.or(file.database).map(secret).transpose()?,
            root_key: args.root_key.or(file.root_key),
            apply: if args.apply.is_empty() { file.apply } else { args.apply },
            fga_auth: if args.fga_auth.is_empty() { file.fga_auth } else { args.fga_auth },
            fga_memory_bytes: fga_memory(args.fga_memory_mb.or(file.fga_memory_mb))?,
            fga_limits: fga::limits(args.fga_limits, file.fga_limits)?,
            fga_access_control: fga::access_control(
                args.access_control.fga_access_control_store.or(file.fga_access_control_store),
                args.access_control.fga_access_control_model.or(file.fga_access_control_model),
            )?,
            model: model(
                args.model.model_url.or(file.model_url),
                args.model.model_key.or(file.model_key),
                args.model.model.or(file.model),
            )?,
            chat_hold: args
                .waits
                .chat_hold
                .or(file.chat_hold)
                .map_or(crate::wiring::CHAT_HOLD, Duration::from_secs),
            approval_lifetime: lifetime(args.waits.approval_lifetime.or(file.approval_lifetime))?,
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

/// The database that the flag or the folder's configuration file names, for the commands that read
/// nothing else of the file.
///
/// # Errors
/// When the file cannot be read or has a key that is not known.
pub fn database(data: &DataArgs, args: &DatabaseArgs) -> anyhow::Result<Option<Secret<String>>> {
    let file = data.data.join("behalf.toml");
    let named = match &args.database {
        Some(named) => Some(named.clone()),
        None if file.exists() => read_file(&file)?.database,
        None => None,
    };
    named.map(secret).transpose()
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

fn read_file(path: &Path) -> anyhow::Result<FileConfig> {
    let place = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {place}"))?;
    let table: toml::Table = text.parse().with_context(|| format!("{place} is not TOML"))?;
    for key in table.keys() {
        if !KEYS.contains(&key.as_str()) {
            let nearest = KEYS.iter().min_by_key(|known| distance(key, known));
            let hint =
                nearest.map(|known| format!("; did you mean `{known}`?")).unwrap_or_default();
            bail!("{place}: unknown key `{key}`{hint}");
        }
    }
    table.try_into().with_context(|| format!("{place} has a value of the wrong kind"))
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut previous = i.saturating_add(1);
        let mut next = vec![previous];
        for (above, right) in row.iter().skip(1).zip(&b) {
            let replaced = diagonal.saturating_add(usize::from(left != *right));
            previous = replaced.min(previous.saturating_add(1)).min(above.saturating_add(1));
            diagonal = *above;
            next.push(previous);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_named() {
        assert_eq!(distance("isuer", "issuer"), 1);
        assert_eq!(distance("", "tls"), 3);
        assert_eq!(distance("http", "http"), 0);
        let dir = std::env::temp_dir().join(format!("behalf-config-{}", std::process::id()));
        std::fs::write(&dir, "isuer = \"https://x/\"").unwrap();
        let error = read_file(&dir).unwrap_err().to_string();
        std::fs::remove_file(&dir).unwrap();
        assert!(error.ends_with("unknown key `isuer`; did you mean `issuer`?"), "{error}");
    }
}
