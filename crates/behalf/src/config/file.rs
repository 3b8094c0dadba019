//! `behalf.toml`: what neither the command line nor the environment says. A flag's key is its variable's
//! name without `BEHALF_`, in small letters with hyphens, so it means the same for every command that
//! has the flag. `--data` and `--config` have none: they say where the file is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _, Parser as _};
use toml::{Table, Value};

use crate::cli::Cli;

/// Reads the command line, and what it leaves open from the file. On a wrong command line, and when
/// help is asked for, the process ends with what is to be said.
///
/// # Errors
/// When the file cannot be read, or has a key or a value that no flag takes.
pub(crate) fn command_line(args: Vec<OsString>) -> anyhow::Result<Cli> {
    Ok(Cli::parse_from(completed(args)?))
}

/// The same command line, with the flags that the file adds behind its command.
fn completed(mut args: Vec<OsString>) -> anyhow::Result<Vec<OsString>> {
    // What is wrong with it is told when it is read for good.
    let Ok(matches) = Cli::command().ignore_errors(true).try_get_matches_from(&args) else {
        return Ok(args);
    };
    let root = Cli::command();
    let (mut command, mut given, mut place) = (&root, &matches, 1_usize);
    while let Some((name, inner)) = given.subcommand() {
        let Some(found) = command.find_subcommand(name) else { return Ok(args) };
        (command, given, place) = (found, inner, place.saturating_add(1));
    }
    let Some(path) = path_of(command, given) else { return Ok(args) };
    let table = read(&path, &root)?;
    let flags = flags(command, given, &table).with_context(|| path.display().to_string())?;
    let rest = args.split_off(place.min(args.len()));
    args.extend(flags);
    args.extend(rest);
    Ok(args)
}

/// Where the file is, if the command reads one and it is there.
fn path_of(command: &Command, given: &ArgMatches) -> Option<PathBuf> {
    command.get_arguments().find(|arg| arg.get_env().is_some_and(|name| name == "BEHALF_DATA"))?;
    let path = |id: &str| given.try_get_one::<PathBuf>(id).ok().flatten();
    if let Some(named) = path("config") {
        return Some(named.clone());
    }
    let file = path("data")?.join("behalf.toml");
    file.exists().then_some(file)
}

fn read(path: &Path, root: &Command) -> anyhow::Result<Table> {
    let place = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {place}"))?;
    let table: Table = text.parse().with_context(|| format!("{place} is not TOML"))?;
    let mut known = Vec::new();
    collect_keys(root, &mut known);
    if let Some(key) = table.keys().find(|key| !known.contains(key)) {
        let nearest = known.iter().min_by_key(|known| distance(key, known));
        let hint = nearest.map(|known| format!("; did you mean `{known}`?")).unwrap_or_default();
        bail!("{place}: unknown key `{key}`{hint}");
    }
    Ok(table)
}

fn collect_keys(command: &Command, keys: &mut Vec<String>) {
    keys.extend(command.get_arguments().filter_map(key));
    command.get_subcommands().for_each(|command| collect_keys(command, keys));
}

fn key(arg: &Arg) -> Option<String> {
    let name = arg.get_env()?.to_str()?.strip_prefix("BEHALF_")?;
    let key = name.to_ascii_lowercase().replace('_', "-");
    (!["data", "config", "demo-data"].contains(&key.as_str())).then_some(key)
}

/// What the file says of the command's flags, as flags. Those that are given already, those that cannot
/// stand beside one, and those that another of the file excludes are left out.
fn flags(command: &Command, given: &ArgMatches, table: &Table) -> anyhow::Result<Vec<OsString>> {
    let is_given = |arg: &&Arg| {
        let source = given.value_source(arg.get_id().as_str());
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    };
    let excludes = |one: &Arg, other: &Arg| {
        let excluded = command.get_arg_conflicts_with(one);
        excluded.iter().any(|arg| arg.get_id() == other.get_id())
    };
    let explicit: Vec<&Arg> = command.get_arguments().filter(is_given).collect();
    let clashes =
        |arg: &Arg| explicit.iter().any(|given| excludes(given, arg) || excludes(arg, given));
    let named: Vec<_> = command
        .get_arguments()
        .filter(|arg| !is_given(arg) && !clashes(arg))
        .filter_map(|arg| Some((arg, arg.get_long()?, table.get_key_value(&key(arg)?)?)))
        .collect();
    let mut flags = Vec::new();
    for (arg, long, (key, value)) in &named {
        if named.iter().any(|(other, ..)| excludes(other, arg)) {
            continue;
        }
        let written = written(arg, long, value);
        flags.extend(written.with_context(|| format!("`{key}` has a value of the wrong kind"))?);
    }
    Ok(flags)
}

/// A value as it would be typed.
fn written(arg: &Arg, long: &str, value: &Value) -> Option<Vec<OsString>> {
    let flag = |value: &Value| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Datetime(time) => time.to_string(),
            _ => return None,
        };
        Some(OsString::from(format!("--{long}={text}")))
    };
    match (arg.get_action(), value) {
        (ArgAction::SetTrue, Value::Boolean(true)) => Some(vec![format!("--{long}").into()]),
        (ArgAction::SetTrue, Value::Boolean(false)) => Some(Vec::new()),
        (ArgAction::SetTrue, _) => None,
        (ArgAction::Append, Value::Array(values)) => values.iter().map(flag).collect(),
        (_, value) => Some(vec![flag(value)?]),
    }
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

    /// The command line that a file completes.
    fn with(file: &str, line: &str) -> anyhow::Result<String> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("file.toml");
        std::fs::write(&path, file)?;
        let line = format!("behalf {line} --config={}", path.display());
        let args = completed(line.split(' ').map(OsString::from).collect())?;
        let text: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        assert_eq!(text.last().unwrap(), line.split(' ').next_back().unwrap());
        Ok(text.get(1..text.len() - 1).unwrap().join(" "))
    }

    #[test]
    fn the_nearest_key_is_named() {
        assert_eq!(distance("isuer", "issuer"), 1);
        assert_eq!(distance("", "tls"), 3);
        assert_eq!(distance("http", "http"), 0);
        let error = with("isuer = \"https://x/\"", "serve").unwrap_err().to_string();
        assert!(error.ends_with("unknown key `isuer`; did you mean `issuer`?"), "{error}");
        assert!(with("data = \"elsewhere\"", "serve").is_err(), "it says where the file is");
    }

    #[test]
    fn what_is_given_wins_and_the_rest_comes_from_the_file() {
        let file = "url = \"https://fga.example\"\ntoken-file = \"key\"\nstore = \"wiki\"\n\
                    trust-proxy = true\nexplain = false\nfga-auth = [\"oidc\", \"none\"]\nchat-hold = 7\n";
        let flags = with(file, "fga check user:a r doc:1 --url http://other").unwrap();
        assert!(flags.starts_with("fga check --"), "{flags}");
        for flag in ["--token-file=key", "--store=wiki", "user:a r doc:1 --url http://other"] {
            assert!(flags.contains(flag), "{flag}: {flags}");
        }
        assert!(!flags.contains("fga.example") && !flags.contains("--explain"), "{flags}");
        let flags = with(file, "serve --chat-hold 9").unwrap();
        for flag in ["--trust-proxy", "--fga-auth=oidc --fga-auth=none"] {
            assert!(flags.contains(flag), "{flag}: {flags}");
        }
        assert!(!flags.contains("--chat-hold=7") && !flags.contains("--store"), "{flags}");
    }

    #[test]
    fn a_key_that_cannot_stand_beside_a_flag_is_left_out() {
        let flags = with("store = \"wiki\"", "fga import --from http://x").unwrap();
        assert_eq!(flags, "fga import --from http://x");
        assert_eq!(
            with("store = \"wiki\"", "fga import a.csv").unwrap(),
            "fga import --store=wiki a.csv"
        );
        let both = "store = \"wiki\"\nfga-from = \"http://x\"";
        assert_eq!(with(both, "fga import").unwrap(), "fga import --from=http://x");
        assert_eq!(with(both, "fga import a.csv").unwrap(), "fga import --store=wiki a.csv");
    }

    #[test]
    fn a_value_of_another_kind_is_an_error() {
        for file in
            ["trust-proxy = \"yes\"", "issuer = true", "issuer = [\"a\"]", "chat-hold = 1.5"]
        {
            let error = format!("{:#}", with(file, "serve").unwrap_err());
            assert!(error.contains("has a value of the wrong kind"), "{file}: {error}");
        }
    }
}
