//! `behalf fga`: models and store files, without a server.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `behalf fga`.
#[derive(Clone, Debug, Subcommand)]
pub enum FgaCommand {
    /// Run the tests of store files (`.fga.yaml`), in memory: exit 0 all hold, 1 some do not,
    /// 2 a file cannot be read or is invalid.
    Test(FgaTestArgs),
    /// Work with models: DSL (`.fga`), JSON (`.json`), or modules (`fga.mod`).
    #[command(subcommand)]
    Model(FgaModelCommand),
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
