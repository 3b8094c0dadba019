//! `behalf demo`: a server with a sample tenant, a scripted model and a scripted provider.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use behalf_gate::flows::ApplyOptions;

use super::serve::{self, Opened};
use super::{apply, system_rng};
use crate::cli::DemoArgs;
use crate::config::{Config, is_loopback};
use crate::demo::model::{ScriptedModel, journey};
use crate::demo::provider::{LocalProvider, ProviderOptions};
use crate::demo::sample;
use crate::setup_file;
use crate::system::SystemClock;
use crate::wiring::Server;

/// Between two words of the scripted model, so that one sees an answer come.
const PAUSE: Duration = Duration::from_millis(25);

pub(super) async fn demo(args: DemoArgs) -> anyhow::Result<()> {
    let mut config = Config::for_demo(args)?;
    ensure!(
        is_loopback(&config.http),
        "the demo's passwords are printed in its source, so it stays on loopback"
    );
    let issuer = config.issuer(None)?;
    let data = config.data.clone();
    let sources = config.apply.iter().map(|path| apply::read(path));
    let sources = sources.collect::<anyhow::Result<Vec<_>>>()?;
    let provider = LocalProvider::start(
        "127.0.0.1:0",
        ProviderOptions {
            client_id: "demo".to_owned(),
            // It opens nothing but the scripted provider, and is the same at each start because
            // the set-up writes secrets once.
            client_secret: "scripted-provider-secret".to_owned(),
            redirect_uris: vec![issuer.join("login/callback")],
            people: sample::PEOPLE.iter().map(|person| person.username.to_owned()).collect(),
            token_lifetime: Some(3600),
            clock: Arc::new(SystemClock),
            rng: Arc::new(system_rng()),
        },
    )
    .await?;
    let scripted = match config.model {
        Some(_) => None,
        None => Some(ScriptedModel::start("127.0.0.1:0", journey(), PAUSE).await?),
    };
    if let Some(scripted) = &scripted {
        config.model = Some(scripted.endpoint()?);
    }
    let greeting = greeting(issuer.as_str(), &provider, scripted.is_some());
    let outcome = serve::run(config, async |server| {
        prepare(server, &provider).await?;
        serve::apply_sources(server, &data, &sources).await?;
        Ok(Opened { password_file: None, greeting })
    })
    .await;
    if let Some(scripted) = scripted {
        scripted.stop().await;
    }
    provider.stop();
    outcome
}

/// The sample tenant. The provider's addresses change with each start.
async fn prepare(server: &Server, provider: &LocalProvider) -> anyhow::Result<()> {
    let actor = apply::local_actor()?;
    let options = ApplyOptions { actor: actor.clone(), is_dry_run: false, resets_secrets: false };
    setup_file::apply(server, &[sample::setup(provider)], &options).await?;
    sample::write_documents(server, &actor).await
}

fn greeting(issuer: &str, provider: &LocalProvider, is_scripted: bool) -> String {
    let model = if is_scripted {
        "scripted: it knows the questions that the chat suggests (--model-url for a real one)"
    } else {
        "the one that you named"
    };
    let people: String = sample::PEOPLE
        .iter()
        .map(|person| line(person.username, person.password, person.about))
        .collect();
    let head = line("user", "password", "who");
    format!(
        "\nOpen {issuer}console/chat and sign in:\n\n{head}{people}\n\
         Approvals are decided at {issuer}account/approvals, also in another browser.\n\
         Model     {model}\nProvider  scripted: {} stands in for GitHub\n\nCtrl-C ends the demo.",
        provider.base_url()
    )
}

fn line(user: &str, password: &str, about: &str) -> String {
    format!("  {user:<5} {password:<15} {about}\n")
}
