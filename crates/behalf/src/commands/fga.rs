//! `behalf fga`: models and store files, read from disk and checked in memory, without a server;
//! questions to a server, and copies into it and out of it.

mod ask;
mod copy;
mod export;
mod files;
mod import;
mod model;
mod replica;
mod shadow;
mod state;
mod test;

use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use behalf_fga::{Position, StoreFileErrors};

use crate::cli::fga::{FgaCommand, FgaModelCommand};
use crate::output::complain;

/// What was looked at is wrong.
const INVALID: u8 = 1;
/// Something could not be looked at.
const UNREADABLE: u8 = 2;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

pub(super) async fn fga(command: FgaCommand) -> anyhow::Result<ExitCode> {
    match command {
        FgaCommand::Test(args) => Ok(test::test(&args)),
        FgaCommand::Model(FgaModelCommand::Validate(args)) => Ok(model::validate(&args)),
        FgaCommand::Model(FgaModelCommand::Transform(args)) => model::transform(&args),
        FgaCommand::Model(FgaModelCommand::Combine(args)) => model::combine(&args),
        FgaCommand::Check(args) => Ok(ask::check(&args).await),
        FgaCommand::Semantics(args) => ask::semantics(&args).await,
        FgaCommand::ListObjects(args) => ask::list_objects(&args).await,
        FgaCommand::Import(args) => match &args.from {
            Some(from) => Box::pin(copy::copy(&args, from)).await,
            None => import::import(&args).await,
        },
        FgaCommand::Export(args) => export::export(&args).await,
        FgaCommand::Shadow(args) => Box::pin(shadow::shadow(&args)).await,
    }
}

/// True for a model by itself: DSL, or the list of its modules.
fn is_model_file(path: &Path) -> bool {
    let is_list = path.file_name().is_some_and(|name| name == "fga.mod");
    is_list || path.extension().is_some_and(|extension| extension == "fga")
}

/// A file that names others beside it.
struct Root {
    /// As it was given.
    path: PathBuf,
    folder: PathBuf,
    may_leave_folder: bool,
}

impl Root {
    fn new(path: &Path, may_leave_folder: bool) -> Self {
        let folder = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
        Self { path: path.to_owned(), folder, may_leave_folder }
    }

    fn read(&self) -> Result<String, String> {
        read(&self.path)
    }

    /// The file's own name, as seen from its folder.
    fn name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// Reads a file that this one names.
    fn read_named(&self, name: &str) -> Result<String, String> {
        let path = self.folder.join(name);
        if !self.may_leave_folder {
            let outside = || {
                "it lies outside of the folder; `--allow-external-files` permits that".to_owned()
            };
            let stays = Path::new(name)
                .components()
                .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            if !stays {
                return Err(outside());
            }
            // A link may lead out as well.
            let folder =
                if self.folder.as_os_str().is_empty() { Path::new(".") } else { &self.folder };
            let real = |path: &Path| path.canonicalize().map_err(|error| error.to_string());
            if !real(&path)?.starts_with(real(folder)?) {
                return Err(outside());
            }
        }
        read(&path)
    }

    /// Prints errors as compilers do; those that name no file are this one's.
    fn print(&self, errors: &StoreFileErrors) {
        for error in &errors.errors {
            let file =
                error.file.as_ref().map_or_else(|| self.path.clone(), |f| self.folder.join(f));
            complain!("{}: {}", place(&file, error.region.start), error.message);
        }
    }
}

fn place(file: &Path, Position { line, column }: Position) -> String {
    format!("{}:{}:{}", file.display(), line + 1, column + 1)
}

fn read(path: &Path) -> Result<String, String> {
    let about = path.metadata().map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("it is not a file".to_owned());
    }
    if about.len() > FILE_BYTES_MAX {
        return Err(format!("it is larger than {} MiB", FILE_BYTES_MAX / 1024 / 1024));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}
