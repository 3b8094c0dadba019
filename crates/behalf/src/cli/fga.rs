//! `behalf fga`: models and store files without a server; questions, copies and comparisons with one.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{DataArgs, DatabaseArgs};

/// `behalf fga`.
#[derive(Clone, Debug, Subcommand)]
pub enum FgaCommand {
    /// Run the tests of store files (`.fga.yaml`), in memory: exit 0 all hold, 1 some do not,
    /// 2 a file cannot be read or is invalid.
    Test(FgaTestArgs),
    /// Work with models: DSL (`.fga`), JSON (`.json`), or modules (`fga.mod`).
    #[command(subcommand)]
    Model(FgaModelCommand),
    /// Ask whether a user has a relation to an object: exit 0 allowed, 1 denied, 2 no answer.
    Check(FgaCheckArgs),
    /// Say whose answers a store gives to checks: OpenFGA's as it is (v1), or as under its
    /// `weighted_graph_check` (v2). Without a word, print what is set.
    Semantics(FgaSemanticsArgs),
    /// Print the objects of a type to which a user has a relation, all of them.
    ListObjects(FgaListObjectsArgs),
    /// Import tuples or store files, or everything that another server holds.
    Import(FgaImportArgs),
    /// Write out the tuples of a store, or the store with its model.
    Export(FgaExportArgs),
    /// Stand in front of a live OpenFGA and compare its answers with Behalf's: exit 0 nothing
    /// differed, 1 something did.
    Shadow(FgaShadowArgs),
}

/// Which server is asked, and as whom.
#[derive(Clone, Debug, Args)]
pub struct TargetArgs {
    /// Where the data lies: asked through the server that holds it, or else opened.
    #[command(flatten)]
    pub data: DataArgs,
    /// Which database holds it.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// The key that wraps every other key, as for `serve`.
    #[arg(long, env = "BEHALF_ROOT_KEY", value_name = "@FILE", hide_env_values = true)]
    pub root_key: Option<String>,
    /// Ask the server at this address instead.
    #[arg(long, env = "BEHALF_URL", value_name = "URL")]
    pub url: Option<String>,
    /// A file whose first line is the key or token for it.
    #[arg(long, env = "BEHALF_TOKEN_FILE", value_name = "FILE", requires = "url")]
    pub token_file: Option<PathBuf>,
}

/// What a question may carry.
#[derive(Clone, Debug, Args)]
pub struct FgaQuestionArgs {
    /// The store: its id or its name.
    #[arg(long, env = "BEHALF_STORE", value_name = "ID|NAME")]
    pub store: String,
    /// The model's id [default: the latest].
    #[arg(long, env = "BEHALF_MODEL_ID", value_name = "ID")]
    pub model_id: Option<String>,
    /// Values for conditions, as JSON.
    #[arg(long, env = "BEHALF_CONTEXT", value_name = "JSON")]
    pub context: Option<String>,
    /// Which server is asked.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// `behalf fga check`.
#[derive(Clone, Debug, Args)]
pub struct FgaCheckArgs {
    /// `type:id`, `type:*` or `type:id#relation`.
    pub user: String,
    /// The relation.
    pub relation: String,
    /// `type:id`.
    pub object: String,
    /// Print why as well.
    #[arg(long, env = "BEHALF_EXPLAIN")]
    pub explain: bool,
    /// Print what v1 and v2 answer, and why they differ, as well.
    #[arg(long, env = "BEHALF_COMPARE", conflicts_with = "explain")]
    pub compare: bool,
    /// What the question carries.
    #[command(flatten)]
    pub question: FgaQuestionArgs,
}

/// `behalf fga semantics`.
#[derive(Clone, Debug, Args)]
pub struct FgaSemanticsArgs {
    /// What is set from now on.
    #[arg(value_name = "WHICH")]
    pub semantics: Option<SemanticsName>,
    /// The store: its id or its name.
    #[arg(long, env = "BEHALF_STORE", value_name = "ID|NAME")]
    pub store: String,
    /// Which server is asked.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// Whose answers checks get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SemanticsName {
    /// OpenFGA's Check as it is.
    V1,
    /// Its Check under `weighted_graph_check`.
    V2,
}

/// `behalf fga list-objects`.
#[derive(Clone, Debug, Args)]
pub struct FgaListObjectsArgs {
    /// `type:id`, `type:*` or `type:id#relation`.
    pub user: String,
    /// The relation.
    pub relation: String,
    /// The objects' type.
    #[arg(value_name = "TYPE")]
    pub object_type: String,
    /// What the question carries.
    #[command(flatten)]
    pub question: FgaQuestionArgs,
}

/// `behalf fga import`.
#[derive(Clone, Debug, Args)]
pub struct FgaImportArgs {
    /// Files: tuples (`.ndjson`, `.jsonl`, `.csv`, `.json`, `.yaml`) or stores (`.fga.yaml`).
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The store to import into: its id or its name [default: the name in the store file].
    #[arg(long, env = "BEHALF_STORE", value_name = "ID|NAME")]
    pub store: Option<String>,
    /// Read also files that lie outside of the store file's folder. Only for files you trust.
    #[arg(long, env = "BEHALF_ALLOW_EXTERNAL_FILES")]
    pub allow_external_files: bool,
    /// Only look what would be written.
    #[arg(long, env = "BEHALF_DRY_RUN", conflicts_with = "follow")]
    pub dry_run: bool,
    /// Copy the server at this address instead: stores and models under their ids, assertions,
    /// tuples, and what changes meanwhile. Running it again goes on.
    #[arg(long, env = "BEHALF_FGA_FROM", value_name = "URL", conflicts_with_all = ["files", "store"])]
    pub from: Option<String>,
    /// Copy only the store with this id; may be repeated.
    #[arg(long, env = "BEHALF_FROM_STORE", value_name = "ID", value_delimiter = ',')]
    pub from_store: Vec<String>,
    /// A file whose first line is the key or token for the address.
    #[arg(long, env = "BEHALF_FROM_TOKEN_FILE", value_name = "FILE", requires = "from")]
    pub from_token_file: Option<PathBuf>,
    /// Go on copying what changes, until stopped.
    #[arg(long, env = "BEHALF_FOLLOW", requires = "from")]
    pub follow: bool,
    /// Copy only what has changed from this time on (RFC 3339): the way back to a server that was
    /// copied before.
    #[arg(long, env = "BEHALF_SINCE", value_name = "TIME", requires = "from")]
    pub since: Option<String>,
    /// Where it is kept how far the copy has come [default: in the data folder].
    #[arg(long, env = "BEHALF_STATE", value_name = "FILE", requires = "from")]
    pub state: Option<PathBuf>,
    /// Where the tuples go.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// `behalf fga shadow`.
#[derive(Clone, Debug, Args)]
pub struct FgaShadowArgs {
    /// The server to compare with: before the switch the live one, after it the old one.
    #[arg(long, env = "BEHALF_UPSTREAM", value_name = "URL")]
    pub upstream: String,
    /// Whose answers clients get: the upstream's, or after the switch Behalf's. Then the upstream is
    /// asked for comparison, and gets what is written to Behalf.
    #[arg(long, env = "BEHALF_ANSWER_FROM", value_name = "SERVER", default_value = "upstream")]
    pub answer_from: AnswerFrom,
    /// With `--answer-from behalf`: bring the upstream what has changed from this time on (RFC 3339)
    /// [default: from a minute before the first start].
    #[arg(long, env = "BEHALF_SINCE", value_name = "TIME")]
    pub since: Option<String>,
    /// A file whose first line is the key or token with which it is copied or written to, and asked
    /// again where answers differ.
    #[arg(long, env = "BEHALF_UPSTREAM_TOKEN_FILE", value_name = "FILE")]
    pub upstream_token_file: Option<PathBuf>,
    /// Copy and compare only the store with this id; may be repeated. `--answer-from behalf` needs
    /// it.
    #[arg(long, env = "BEHALF_FROM_STORE", value_name = "ID", value_delimiter = ',')]
    pub from_store: Vec<String>,
    /// Address of the listener.
    #[arg(long, env = "BEHALF_HTTP", value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub http: String,
    /// Certificate chain for TLS, PEM.
    #[arg(long, env = "BEHALF_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key for TLS, PEM.
    #[arg(long, env = "BEHALF_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// A TLS proxy or a private network stands in front.
    #[arg(long, env = "BEHALF_TRUST_PROXY")]
    pub trust_proxy: bool,
    /// Write each difference to this file, one JSON object per line.
    #[arg(long, env = "BEHALF_REPORT", value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Where it is kept how far the copy has come [default: in the data folder].
    #[arg(long, env = "BEHALF_STATE", value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Where Behalf's own answers come from.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// Whose answers clients get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AnswerFrom {
    /// The upstream's.
    Upstream,
    /// Behalf's.
    Behalf,
}

/// `behalf fga export`.
#[derive(Clone, Debug, Args)]
pub struct FgaExportArgs {
    /// The store: its id or its name.
    #[arg(long, env = "BEHALF_STORE", value_name = "ID|NAME")]
    pub store: String,
    /// The form: one JSON object per line, or a store file with the latest model.
    #[arg(long, env = "BEHALF_FORM", value_name = "FORM", default_value = "ndjson")]
    pub form: ExportForm,
    /// Where it goes [default: the terminal].
    #[arg(long, env = "BEHALF_OUT", value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Which server is asked.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// How tuples are written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportForm {
    /// One JSON object per line, as `import` takes them.
    Ndjson,
    /// A store file (`.fga.yaml`).
    Store,
}

/// `behalf fga test`.
#[derive(Clone, Debug, Args)]
pub struct FgaTestArgs {
    /// Store files.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Read also files that lie outside of the store file's folder. Only for files you trust.
    #[arg(long, env = "BEHALF_ALLOW_EXTERNAL_FILES")]
    pub allow_external_files: bool,
}

/// `behalf fga model`. Each command exits with 0, or 1 if a model is invalid, or 2 if it cannot be
/// read.
#[derive(Clone, Debug, Subcommand)]
pub enum FgaModelCommand {
    /// Say whether models are valid, and if not, where and what to do.
    Validate(FgaValidateArgs),
    /// Print a model in its other form: of DSL and modules the JSON, of JSON the DSL.
    Transform(FgaTransformArgs),
    /// Print the model that modules make, as DSL.
    Combine(FgaCombineArgs),
}

/// `behalf fga model validate`.
#[derive(Clone, Debug, Args)]
pub struct FgaValidateArgs {
    /// Models.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// `behalf fga model transform`.
#[derive(Clone, Debug, Args)]
pub struct FgaTransformArgs {
    /// The model.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The form to print.
    #[arg(long, env = "BEHALF_MODEL_FORM", value_name = "FORM")]
    pub to: Option<ModelForm>,
    /// In DSL, say behind each part of a model of modules where it comes from.
    #[arg(long, env = "BEHALF_SOURCES")]
    pub sources: bool,
}

/// `behalf fga model combine`.
#[derive(Clone, Debug, Args)]
pub struct FgaCombineArgs {
    /// The list of modules, `fga.mod`.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Say behind each part where it comes from.
    #[arg(long, env = "BEHALF_SOURCES")]
    pub sources: bool,
}

/// How a model is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModelForm {
    /// The language for people.
    Dsl,
    /// The API's form.
    Json,
}
