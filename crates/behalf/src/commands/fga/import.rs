//! `behalf fga import FILE…`: tuples and store files into a store. Tuples that are there already are
//! passed over, so an import can be repeated.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, anyhow, bail};
use behalf_core::counted;
use behalf_fga::{AuthorizationModel, LoadedStore, StoreFile};
use http::Method;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::files::{self, Item, TupleFile};
use super::{Root, is_model_file};
use crate::cli::fga::FgaImportArgs;
use crate::commands::target;
use crate::output::{complain, plain, say};
use crate::server_client::{ServerCall, ServerClient, is_ulid};

/// Tuples that are sent together.
const BATCH: usize = 1_000;
/// The same in bytes; a request has at most 616,448.
const BATCH_BYTES: usize = 400_000;
/// Tuples that do not fit and are told.
const MAX_TOLD: usize = 100;

pub(super) async fn import(args: &FgaImportArgs) -> anyhow::Result<ExitCode> {
    if args.files.is_empty() {
        bail!("give files, or --from with the address of a server to copy");
    }
    let client = target::open(&args.target).await?;
    let outcome = Box::pin(import_files(&client, args)).await;
    client.close().await?;
    outcome
}

async fn import_files(client: &ServerClient, args: &FgaImportArgs) -> anyhow::Result<ExitCode> {
    let mut done = Counts::default();
    let started = Instant::now();
    for file in &args.files {
        let imported = if is_model_file(file) {
            import_model_file(client, file, args).await?;
            continue;
        } else if is_store_file(file) {
            import_store(client, file, args).await?
        } else {
            let store = args.store.as_deref();
            let store = store.context("tuples need a store: give --store with its id or name")?;
            let store = super::ask::store(client, store).await?;
            let mut import = Import::new(client, store, args.dry_run, file);
            let outcome = import.file(file).await;
            import.bar.finish_and_clear();
            outcome?;
            import.counts
        };
        done.add(&imported);
    }
    if args.files.iter().all(|file| is_model_file(file)) {
        return Ok(ExitCode::SUCCESS);
    }
    let Counts { written, unchanged, refused } = done;
    let secs = started.elapsed().as_secs_f64();
    let rate = f64::from(u32::try_from(done.all()).unwrap_or(u32::MAX)) / secs.max(0.001);
    let would = if args.dry_run { "would write" } else { "wrote" };
    say!(
        "{would} {}; {} there already; {secs:.1} s, {rate:.0} per second",
        counted(written, "tuple", "tuples"),
        counted(unchanged, "was", "were")
    );
    if refused > 0 {
        complain!("{} not fit", counted(refused, "tuple does", "tuples do"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn is_store_file(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.ends_with(".fga.yaml") || name.ends_with(".fga.yml")
}

/// Imports a model, if it is not the store's latest.
async fn import_model_file(
    client: &ServerClient,
    path: &Path,
    args: &FgaImportArgs,
) -> anyhow::Result<()> {
    let root = Root::new(path, args.allow_external_files);
    let Ok(model) = super::model::load(&root) else {
        bail!("{} is no model that can be imported", path.display());
    };
    let name = args.store.as_deref();
    let name = name.context("a model needs a store: give --store with its id or name")?;
    let Some(store) = find_or_make(client, name, args.dry_run).await? else { return Ok(()) };
    if !import_model(client, &store, &model, args.dry_run).await? {
        say!("{} is the latest model already", path.display());
    }
    Ok(())
}

/// The id of the store with that id or name; made if there is none of the name. None if that is only
/// looked at.
async fn find_or_make(
    client: &ServerClient,
    name: &str,
    is_dry_run: bool,
) -> anyhow::Result<Option<String>> {
    if let Some(store) = client.find_store(name).await? {
        return Ok(Some(store));
    }
    if is_ulid(name) {
        bail!("there is no store `{name}`; give a name to make one");
    }
    if is_dry_run {
        say!("would make the store {name}, and write its model");
        return Ok(None);
    }
    let call = ServerCall::post(&["stores"], &json!({"name": name}));
    let made = client.ask(&call).await?;
    let id = made.get("id").and_then(Value::as_str).context("the store has no id")?;
    say!("made the store {name}: {id}");
    Ok(Some(id.to_owned()))
}

/// Imports a store file: its model if it is not the latest, and its tuples.
async fn import_store(
    client: &ServerClient,
    path: &Path,
    args: &FgaImportArgs,
) -> anyhow::Result<Counts> {
    let root = Root::new(path, args.allow_external_files);
    let loaded = load(&root)?;
    let name = args.store.clone().unwrap_or_else(|| loaded.name.clone());
    if name.is_empty() {
        bail!("{}: the file names no store; give --store", path.display());
    }
    let Some(store) = find_or_make(client, &name, args.dry_run).await? else {
        let count = u64::try_from(loaded.tuples.len()).unwrap_or(u64::MAX);
        return Ok(Counts { written: count, ..Counts::default() });
    };
    import_model(client, &store, &loaded.model, args.dry_run).await?;
    let mut import = Import::new(client, store, args.dry_run, path);
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let outcome = async {
        for mut placed in loaded.tuples {
            let file = placed.file.take().map_or_else(|| path.to_owned(), |name| folder.join(name));
            import.add(files::item(&file, placed)).await?;
        }
        import.flush().await
    };
    let outcome = outcome.await;
    import.bar.finish_and_clear();
    outcome?;
    Ok(import.counts)
}

fn load(root: &Root) -> anyhow::Result<LoadedStore> {
    let name = root.path.display();
    let text = root.read().map_err(|reason| anyhow!("{name}: {reason}"))?;
    let loaded = StoreFile::parse(&text).and_then(|file| {
        let loaded = file.load(&mut |name| root.read_named(name))?;
        match loaded.model_errors.is_empty() {
            true => Ok(loaded),
            false => Err(behalf_fga::StoreFileErrors { errors: loaded.model_errors }),
        }
    });
    loaded.map_err(|errors| {
        root.print(&errors);
        anyhow!("{name} is no store file that can be imported")
    })
}

/// Writes the model unless it is the store's latest; false if it is.
async fn import_model(
    client: &ServerClient,
    store: &str,
    model: &AuthorizationModel,
    is_dry_run: bool,
) -> anyhow::Result<bool> {
    let path = ["stores", store, "authorization-models"];
    let page = client.ask(&ServerCall::get(&path).query("page_size", "1")).await?;
    let latest = page.get("authorization_models").and_then(|models| models.get(0));
    let latest = latest.map(|latest| AuthorizationModel::from_json(&latest.to_string()));
    if latest.is_some_and(|latest| latest.is_ok_and(|latest| is_same(&latest, model))) {
        return Ok(false);
    }
    let json = model.to_json().map_err(|error| anyhow!("the model: {error}"))?;
    if is_dry_run {
        say!("would write the model");
        return Ok(true);
    }
    let call = ServerCall { method: Method::POST, body: json.into(), ..ServerCall::get(&path) };
    let written = client.ask(&call).await.context("the model")?;
    let id = written.get("authorization_model_id").and_then(Value::as_str).unwrap_or_default();
    say!("wrote the model: {id}");
    Ok(true)
}

/// True if the models say the same. The API fills in members that say nothing, which the language
/// does not show.
fn is_same(one: &AuthorizationModel, other: &AuthorizationModel) -> bool {
    match (one.to_dsl_with_sources(), other.to_dsl_with_sources()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one.to_json().ok() == other.to_json().ok(),
    }
}

/// What came of tuples.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    written: u64,
    unchanged: u64,
    refused: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.written = self.written.saturating_add(other.written);
        self.unchanged = self.unchanged.saturating_add(other.unchanged);
        self.refused = self.refused.saturating_add(other.refused);
    }

    const fn all(&self) -> u64 {
        self.written.saturating_add(self.unchanged).saturating_add(self.refused)
    }
}

/// An import under way.
struct Import<'a> {
    client: &'a ServerClient,
    store: String,
    is_dry_run: bool,
    bar: ProgressBar,
    started: Instant,
    batch: Vec<Item>,
    batch_bytes: usize,
    counts: Counts,
}

impl<'a> Import<'a> {
    fn new(client: &'a ServerClient, store: String, is_dry_run: bool, file: &Path) -> Self {
        let bytes = file.metadata().map_or(0, |about| about.len());
        let bar = ProgressBar::new(bytes);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:32} {bytes}/{total_bytes}  {wide_msg}  {eta} left")
        {
            bar.set_style(style);
        }
        Self {
            client,
            store,
            is_dry_run,
            bar,
            started: Instant::now(),
            batch: Vec::new(),
            batch_bytes: 0,
            counts: Counts::default(),
        }
    }

    async fn file(&mut self, path: &Path) -> anyhow::Result<()> {
        let mut file = TupleFile::open(path)?;
        loop {
            let items = file.next().map_err(|error| match self.counts.written {
                0 => error,
                some if self.is_dry_run => error.context(format!(
                    "after {}",
                    counted(some, "tuple that fits", "tuples that fit")
                )),
                some => {
                    let some = counted(some, "tuple was", "tuples were");
                    error.context(format!("stopped after {some} written"))
                }
            })?;
            if items.is_empty() {
                break;
            }
            for item in items {
                self.add(item).await?;
            }
            self.bar.set_position(file.bytes);
        }
        self.flush().await
    }

    async fn add(&mut self, item: Item) -> anyhow::Result<()> {
        let bytes = item.tuple.to_string().len().saturating_add(32);
        if self.batch_bytes.saturating_add(bytes) > BATCH_BYTES {
            self.flush().await?;
        }
        self.batch_bytes = self.batch_bytes.saturating_add(bytes);
        self.batch.push(item);
        if self.batch.len() >= BATCH {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if batch.is_empty() {
            return Ok(());
        }
        let (places, changes): (Vec<String>, Vec<Value>) =
            batch.into_iter().map(|item| (item.place, json!({"tuple_key": item.tuple}))).unzip();
        let body = json!({"changes": changes, "dry_run": self.is_dry_run});
        let call = ServerCall::post(&["stores", &self.store, "behalf", "merge"], &body);
        let merged = self.client.ask(&call).await?;
        let refused = number(&merged, "refused_count");
        for refusal in merged.get("refused").and_then(Value::as_array).into_iter().flatten() {
            let index = usize::try_from(number(refusal, "index")).unwrap_or(usize::MAX);
            let place = places.get(index).map_or("", String::as_str);
            let reason = refusal.get("reason").and_then(Value::as_str).unwrap_or_default();
            let reason = plain(reason);
            if self.counts.refused < MAX_TOLD as u64 {
                self.bar.suspend(|| complain!("{place}: {reason}"));
            }
            self.counts.refused = self.counts.refused.saturating_add(1);
        }
        if refused > 0 && !self.is_dry_run {
            bail!(
                "{} not fit; nothing of these {} was written, and {} before",
                counted(refused, "tuple does", "tuples do"),
                places.len(),
                self.counts.written
            );
        }
        let counts = Counts {
            written: number(&merged, "written"),
            unchanged: number(&merged, "unchanged"),
            refused: 0,
        };
        self.counts.add(&counts);
        let secs = self.started.elapsed().as_secs().max(1);
        let all = self.counts.all();
        let rate = HumanCount(all.checked_div(secs).unwrap_or_default());
        self.bar.set_message(format!("{}  {rate}/s", counted(all, "tuple", "tuples")));
        Ok(())
    }
}

fn number(of: &Value, name: &str) -> u64 {
    of.get(name).and_then(Value::as_u64).unwrap_or_default()
}
