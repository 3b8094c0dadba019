//! The command line. Each flag has a `BEHALF_…` variable and, where a command has a data folder, a key in
//! `behalf.toml` (`config/file.rs`).

pub mod fga;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// What agents may do on behalf of people, and the proof of what they did.
#[derive(Debug, Parser)]
#[command(name = "behalf", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a server with a sample tenant, a scripted model and a scripted provider.
    Demo(Box<DemoArgs>),
    /// Run the server.
    Serve(Box<ServeArgs>),
    /// Set up users, clients and APIs from a file, and print what changed.
    Apply(ApplyArgs),
    /// Look at or change the schema of a PostgreSQL database. The embedded store migrates itself.
    #[command(subcommand)]
    Migrate(MigrateCommand),
    /// Work with documents.
    #[command(subcommand)]
    Documents(DocumentsCommand),
    /// Work with authorization models and their tests.
    #[command(subcommand)]
    Fga(fga::FgaCommand),
    /// Take records out of the log, with the proofs that they are what it signed.
    Export(ExportArgs),
    /// Check an export or a receipt, offline: exit 0 valid, 1 invalid, 2 not a bundle.
    Verify(VerifyArgs),
    /// Make a local certificate authority for development, and print how to trust it.
    DevCa(DataArgs),
}

/// Where the data lies.
#[derive(Clone, Debug, Args)]
pub struct DataArgs {
    /// The data folder.
    #[arg(long, env = "BEHALF_DATA", default_value = "./behalf-data", value_name = "DIR")]
    pub data: PathBuf,
    /// Configuration file: what flags and variables leave open (default: DATA/behalf.toml if it is
    /// there).
    #[arg(long, env = "BEHALF_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Which database holds the data.
#[derive(Clone, Debug, Args)]
pub struct DatabaseArgs {
    /// PostgreSQL database, `postgres://…`, or `@FILE` that holds its address (default: the
    /// embedded store in the data folder).
    #[arg(long, env = "BEHALF_DATABASE", value_name = "URL", hide_env_values = true)]
    pub database: Option<String>,
}

/// `behalf migrate`.
#[derive(Clone, Debug, Subcommand)]
pub enum MigrateCommand {
    /// Print every migration, and whether it was applied.
    Status(MigrateArgs),
    /// Add what this version needs. Nodes of the version before run on.
    Expand(MigrateArgs),
    /// Take away what only older versions need. Stop their nodes first.
    Contract(MigrateArgs),
}

/// What each `behalf migrate` takes.
#[derive(Clone, Debug, Args)]
pub struct MigrateArgs {
    /// Where the data lies.
    #[command(flatten)]
    pub data: DataArgs,
    /// Which database holds the data.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// `behalf demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// The demo's data folder.
    #[arg(long, env = "BEHALF_DEMO_DATA", default_value = "./behalf-demo", value_name = "DIR")]
    pub data: PathBuf,
    /// Address of the listener, on loopback.
    #[arg(long, env = "BEHALF_HTTP", default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub http: String,
    /// The model, instead of the scripted one.
    #[command(flatten)]
    pub model: ModelArgs,
    /// How long things wait.
    #[command(flatten)]
    pub waits: WaitArgs,
    /// Set-up file to apply on top of the sample tenant; may be repeated.
    #[arg(long, env = "BEHALF_APPLY", value_name = "FILE", value_delimiter = ',')]
    pub apply: Vec<PathBuf>,
}

/// Which model the chat's agent asks.
#[derive(Clone, Debug, Args)]
pub struct ModelArgs {
    /// Address of the model's API, one that speaks chat completions, e.g.
    /// `https://api.openai.com/v1`.
    #[arg(long, env = "BEHALF_MODEL_URL", value_name = "URL")]
    pub model_url: Option<String>,
    /// Its key: `@FILE`, or the key itself.
    #[arg(long, env = "BEHALF_MODEL_KEY", value_name = "KEY|@FILE", hide_env_values = true)]
    pub model_key: Option<String>,
    /// The model's name there.
    #[arg(long, env = "BEHALF_MODEL", value_name = "NAME")]
    pub model: Option<String>,
}

/// How long things wait for a person.
#[derive(Clone, Debug, Args)]
pub struct WaitArgs {
    /// How many seconds a chat's stream stays open while its turn waits for a person [default: 10].
    #[arg(long, env = "BEHALF_CHAT_HOLD", value_name = "SECS")]
    pub chat_hold: Option<u64>,
    /// How many seconds a person has to decide about a tool call, up to a day [default: 300].
    #[arg(long, env = "BEHALF_APPROVAL_LIFETIME", value_name = "SECS")]
    pub approval_lifetime: Option<u64>,
}

/// Limits of `/stores`, by the names of OpenFGA's flags. What they cut off, answers say in
/// `Behalf-Complete: false`.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct FgaLimitArgs {
    /// Results of one `ListObjects` at most, 0 for all [default: 0; OpenFGA's: 1000].
    #[arg(long, env = "BEHALF_FGA_LIST_OBJECTS_MAX_RESULTS", value_name = "COUNT")]
    pub fga_list_objects_max_results: Option<usize>,
    /// How many seconds one `ListObjects` looks, also as a stream, 0 for as long as it takes
    /// [default: 0; OpenFGA's: 3].
    #[arg(long, env = "BEHALF_FGA_LIST_OBJECTS_DEADLINE", value_name = "SECS")]
    pub fga_list_objects_deadline: Option<u64>,
    /// Results of one `ListUsers` at most, 0 for all [default: 0; OpenFGA's: 1000].
    #[arg(long, env = "BEHALF_FGA_LIST_USERS_MAX_RESULTS", value_name = "COUNT")]
    pub fga_list_users_max_results: Option<usize>,
    /// How many seconds one `ListUsers` looks, 0 for as long as it takes [default: 0; OpenFGA's: 3].
    #[arg(long, env = "BEHALF_FGA_LIST_USERS_DEADLINE", value_name = "SECS")]
    pub fga_list_users_deadline: Option<u64>,
    /// Hops of one question through usersets and tuplesets outside recursive relations, 0 for any
    /// number [default: 25].
    #[arg(long, env = "BEHALF_FGA_RESOLVE_NODE_LIMIT", value_name = "COUNT")]
    pub fga_resolve_node_limit: Option<u32>,
    /// How many minutes `ReadChanges` keeps a change back [default: 0].
    #[arg(long, env = "BEHALF_FGA_CHANGELOG_HORIZON_OFFSET", value_name = "MINUTES")]
    pub fga_changelog_horizon_offset: Option<u64>,
    /// Writes and deletes of one Write together, 1 to 10000 [default: 100].
    #[arg(long, env = "BEHALF_FGA_MAX_TUPLES_PER_WRITE", value_name = "COUNT")]
    pub fga_max_tuples_per_write: Option<usize>,
    /// Checks of one `BatchCheck`, 1 to 10000 [default: 50].
    #[arg(long, env = "BEHALF_FGA_MAX_CHECKS_PER_BATCH_CHECK", value_name = "COUNT")]
    pub fga_max_checks_per_batch_check: Option<usize>,
}

/// Access control of `/stores`: what each client may ask is itself asked of a store. Without both,
/// credentials and scopes alone decide.
#[derive(Clone, Debug, Default, Args)]
pub struct AccessControlArgs {
    /// The id of the store that says what each client may ask of `/stores`. Preshared keys open
    /// nothing then.
    #[arg(long, env = "BEHALF_FGA_ACCESS_CONTROL_STORE", value_name = "ID")]
    pub fga_access_control_store: Option<String>,
    /// The id of its model that is asked, whichever is the latest.
    #[arg(long, env = "BEHALF_FGA_ACCESS_CONTROL_MODEL", value_name = "ID")]
    pub fga_access_control_model: Option<String>,
}

/// `behalf serve`. What is not given here may stand in the configuration file.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Where the data lies.
    #[command(flatten)]
    pub data: DataArgs,
    /// Which database holds the data.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Address of the plain HTTP listener [default: 127.0.0.1:8080].
    #[arg(long, env = "BEHALF_HTTP", value_name = "ADDR")]
    pub http: Option<String>,
    /// Listen with TLS as well [default address: 127.0.0.1:8443]. Without a certificate the local
    /// CA of `behalf dev-ca` issues one.
    #[arg(
        long, env = "BEHALF_TLS", value_name = "ADDR",
        num_args = 0..=1, default_missing_value = "127.0.0.1:8443"
    )]
    pub tls: Option<String>,
    /// Certificate chain for TLS, PEM.
    #[arg(long, env = "BEHALF_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key for TLS, PEM.
    #[arg(long, env = "BEHALF_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// The address by which people and clients reach this server.
    #[arg(long, env = "BEHALF_ISSUER", value_name = "URL")]
    pub issuer: Option<String>,
    /// Believe the reverse proxy in front about the peer's address.
    #[arg(long, env = "BEHALF_TRUST_PROXY")]
    pub trust_proxy: bool,
    /// The key that wraps every other key: `@FILE`, or the key's text itself
    /// (default: the file DATA.key, made on first start).
    #[arg(long, env = "BEHALF_ROOT_KEY", value_name = "@FILE", hide_env_values = true)]
    pub root_key: Option<String>,
    /// How callers of `/stores` show who they are: oidc, preshared, none; may be repeated
    /// [default: oidc and preshared].
    #[arg(long, env = "BEHALF_FGA_AUTH", value_name = "MODE", value_delimiter = ',')]
    pub fga_auth: Vec<String>,
    /// How much memory the FGA stores that are in use may take together, in MB; those used longest
    /// ago are read again when they are next asked [default: half of the machine's memory].
    #[arg(long, env = "BEHALF_FGA_MEMORY_MB", value_name = "MB")]
    pub fga_memory_mb: Option<u64>,
    /// What one request to `/stores` may ask.
    #[command(flatten)]
    pub fga_limits: FgaLimitArgs,
    /// What each client may ask of `/stores`.
    #[command(flatten)]
    pub access_control: AccessControlArgs,
    /// A host on a private network to which addresses that users and clients supply may lead; may be
    /// repeated. Nothing fetches such addresses yet; the operator's own may always be private.
    #[arg(long, env = "BEHALF_ALLOW_PRIVATE_EGRESS", value_name = "HOST", value_delimiter = ',')]
    pub allow_private_egress: Vec<String>,
    /// The model; without one the chat answers that there is none.
    #[command(flatten)]
    pub model: ModelArgs,
    /// How long things wait.
    #[command(flatten)]
    pub waits: WaitArgs,
    /// Set-up file to apply before the listeners open; may be repeated.
    #[arg(long, env = "BEHALF_APPLY", value_name = "FILE", value_delimiter = ',')]
    pub apply: Vec<PathBuf>,
}

/// `behalf apply`.
#[derive(Clone, Debug, Args)]
pub struct ApplyArgs {
    /// Set-up files (YAML), applied in order, all or nothing.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where the data lies.
    #[command(flatten)]
    pub data: DataArgs,
    /// Which database holds the data.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// The key that wraps every other key, as for `serve`.
    #[arg(long, env = "BEHALF_ROOT_KEY", value_name = "@FILE", hide_env_values = true)]
    pub root_key: Option<String>,
    /// Issuer to use while no server runs, as for `serve`.
    #[arg(long, env = "BEHALF_ISSUER", value_name = "URL")]
    pub issuer: Option<String>,
    /// Only print what would change.
    #[arg(long, env = "BEHALF_DRY_RUN")]
    pub dry_run: bool,
    /// Write passwords and secrets of objects that exist already, too.
    #[arg(long, env = "BEHALF_RESET_SECRETS")]
    pub reset_secrets: bool,
    /// Write generated secrets to this file (0600) instead of the terminal.
    #[arg(long, env = "BEHALF_SECRETS_OUT", value_name = "FILE")]
    pub secrets_out: Option<PathBuf>,
}

/// `behalf documents`.
#[derive(Clone, Debug, Subcommand)]
pub enum DocumentsCommand {
    /// Import the text files of a folder: text, Markdown, HTML, manual pages, also gzipped.
    /// Importing again replaces what has changed.
    Import(ImportArgs),
}

/// `behalf documents import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Who becomes their owner: a user's id, address or user name. Without one nobody sees them
    /// until tuples say so.
    #[arg(long, env = "BEHALF_OWNER", value_name = "USER")]
    pub owner: Option<String>,
    /// Ask the server at this address instead.
    #[arg(long, env = "BEHALF_URL", value_name = "URL")]
    pub url: Option<String>,
    /// A file whose first line is the token for it, with the scope `import:documents`.
    #[arg(long, env = "BEHALF_TOKEN_FILE", value_name = "FILE", requires = "url")]
    pub token_file: Option<PathBuf>,
    /// Only files that fit, e.g. `*.md` or `guides/**/*.html`.
    #[arg(long, env = "BEHALF_GLOB", value_name = "PATTERN")]
    pub glob: Option<String>,
    /// Where the data lies.
    #[command(flatten)]
    pub data: DataArgs,
    /// Which database holds it.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// The key that wraps every other key, as for `serve`.
    #[arg(long, env = "BEHALF_ROOT_KEY", value_name = "@FILE", hide_env_values = true)]
    pub root_key: Option<String>,
    /// Issuer to use while no server runs, as for `serve`.
    #[arg(long, env = "BEHALF_ISSUER", value_name = "URL")]
    pub issuer: Option<String>,
}

/// `behalf export`.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// Where the data lies.
    #[command(flatten)]
    pub data: DataArgs,
    /// Which database holds it.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Ask the server at this address instead.
    #[arg(long, env = "BEHALF_URL", value_name = "URL")]
    pub url: Option<String>,
    /// A file whose first line is the token for it, with the scope `export:records`.
    #[arg(long, env = "BEHALF_TOKEN_FILE", value_name = "FILE", requires = "url")]
    pub token_file: Option<PathBuf>,
    /// The project whose log is exported.
    #[arg(long, env = "BEHALF_PROJECT", default_value = "default", value_name = "ID")]
    pub project: String,
    /// Not earlier than this: RFC 3339, or a date (midnight UTC).
    #[arg(long, env = "BEHALF_FROM", value_name = "TIME")]
    pub from: Option<String>,
    /// Earlier than this: RFC 3339, or a date (midnight UTC).
    #[arg(long, env = "BEHALF_TO", value_name = "TIME")]
    pub to: Option<String>,
    /// Where the bundle goes, a zip.
    #[arg(long, env = "BEHALF_OUT", value_name = "FILE")]
    pub out: PathBuf,
    /// The key that wraps every other key, as for `serve`.
    #[arg(long, env = "BEHALF_ROOT_KEY", value_name = "@FILE", hide_env_values = true)]
    pub root_key: Option<String>,
}

/// `behalf verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// A bundle (zip) or a receipt (.tlog-proof).
    #[arg(value_name = "BUNDLE|RECEIPT")]
    pub file: PathBuf,
    /// A checkpoint that was kept from earlier: the log must begin with it.
    #[arg(long, env = "BEHALF_CHECKPOINT", value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
}
