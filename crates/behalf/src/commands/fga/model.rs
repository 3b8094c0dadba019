//! `behalf fga model`: validate, transform, combine.

use std::process::ExitCode;

use anyhow::bail;
use behalf_fga::{AuthorizationModel, FgaStore, load_model};

use super::{INVALID, Root, UNREADABLE};
use crate::cli::fga::{FgaCombineArgs, FgaTransformArgs, FgaValidateArgs, ModelForm};
use crate::output::{complain, say};

pub(super) fn validate(args: &FgaValidateArgs) -> ExitCode {
    let mut code = 0;
    for file in &args.files {
        let valid = load(&Root::new(file, false)).and_then(|model| {
            FgaStore::new().add_model(model).map_err(|error| {
                complain!("{}: {error}", file.display());
                INVALID
            })
        });
        match valid {
            Ok(_) => say!("{}: valid", file.display()),
            Err(worse) => code = code.max(worse),
        }
    }
    ExitCode::from(code)
}

pub(super) fn transform(args: &FgaTransformArgs) -> anyhow::Result<ExitCode> {
    let is_json = args.file.extension().is_some_and(|extension| extension == "json");
    let form = args.to.unwrap_or(if is_json { ModelForm::Dsl } else { ModelForm::Json });
    let model = match load(&Root::new(&args.file, false)) {
        Ok(model) => model,
        Err(code) => return Ok(ExitCode::from(code)),
    };
    print(&model, form, args.sources)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn combine(args: &FgaCombineArgs) -> anyhow::Result<ExitCode> {
    let root = Root::new(&args.file, false);
    if root.name() != "fga.mod" {
        bail!("`combine` takes the list of modules, which is named `fga.mod`");
    }
    let model = match load(&root) {
        Ok(model) => model,
        Err(code) => return Ok(ExitCode::from(code)),
    };
    print(&model, ModelForm::Dsl, args.sources)?;
    Ok(ExitCode::SUCCESS)
}

/// The model, or the exit code once its errors are printed.
pub(super) fn load(root: &Root) -> Result<AuthorizationModel, u8> {
    if let Err(reason) = root.read() {
        complain!("{}: {reason}", root.path.display());
        return Err(UNREADABLE);
    }
    load_model(&root.name(), &mut |name| root.read_named(name)).map_err(|errors| {
        root.print(&errors);
        INVALID
    })
}

fn print(model: &AuthorizationModel, form: ModelForm, sources: bool) -> anyhow::Result<()> {
    match form {
        ModelForm::Json => say!("{}", serde_json::to_string_pretty(model)?),
        ModelForm::Dsl if sources => say!("{}", model.to_dsl_with_sources()?.trim_end()),
        ModelForm::Dsl => say!("{}", model.to_dsl()?.trim_end()),
    }
    Ok(())
}
