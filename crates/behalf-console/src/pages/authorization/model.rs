//! `/console/authorization/{store_id}/model`: the model's editor, with what is wrong at its place,
//! the drawing, and what a change would give and take before it is saved; and the versions.

mod check;
mod compare;

use askama::Template;
use axum::response::Response;
use behalf_authz::engine::AuthorizationModel;
use behalf_authz::{Author, AuthzError, ModelVersion};
use behalf_core::Timestamp;
use behalf_http::Params;
use behalf_store::StoreError;

use super::colour::{Line, colour};
use super::graph::{Drawing, draw};
use super::tuples::MAX_REASON;
use super::visit::{Form, Visit, shown};
use super::{Head, effect, failed, find_model, is_refusal, shortened, text_of, who};
use crate::frame::Frame;
use crate::time::Shown;

use check::{Checked, Trouble, check, quick_check};
use compare::{Comparison, compare};

/// Versions in the list.
const VERSIONS: u32 = 20;

/// A model to begin with.
const FIRST: &str = "model
  schema 1.1

type user

type doc
  relations
    define owner: [user]
    define viewer: [user, user:*] or owner
    define can_view: viewer
";

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "authorization/model.html")]
pub(crate) struct ModelPage {
    frame: Frame,
    head: Head,
    /// The text in the editor, and the same in colours.
    text: String,
    lines: Vec<Line>,
    rows: usize,
    columns: usize,
    /// The latest model's id when the page was opened; what is saved comes after it.
    base: String,
    /// The version that is shown, if it is not the latest.
    older: Option<String>,
    context: String,
    reason: String,
    checked: Checked,
    drawing: Option<Drawing>,
    /// Why nothing was saved.
    problem: Option<String>,
    saved: bool,
    /// Modules that the model is made of; such a model is edited in its files.
    modules: Vec<String>,
    versions: Vec<Version>,
    older_versions: Option<i64>,
    comparison: Option<Comparison>,
}

/// A version in the list.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    number: i64,
    id: String,
    at: Shown,
    who: String,
    reason: String,
    is_shown: bool,
    is_latest: bool,
}

impl Version {
    fn short_id(&self) -> String {
        shortened(&self.id)
    }
}

/// What was typed.
#[derive(Clone, Debug, Default)]
struct Typed {
    text: String,
    base: String,
    context: String,
    reason: String,
}

impl Typed {
    fn take(fields: &mut Params) -> Self {
        let mut take = |name| fields.take(name).unwrap_or_default();
        Self {
            // Forms end lines with two characters.
            text: take("text").replace("\r\n", "\n"),
            base: take("base"),
            context: take("context").trim().to_owned(),
            reason: take("reason").trim().to_owned(),
        }
    }
}

pub(crate) async fn get(visit: Visit) -> Response {
    shown(opened(visit).await, |_| false)
}

async fn opened(mut visit: Visit) -> Result<ModelPage, AuthzError> {
    let version = visit.params.take("version");
    let compared = visit.params.take("compare");
    let (authz, store_id) = (visit.authz(), visit.store_id.as_str());
    let latest = find_model(authz, store_id, None).await?;
    let chosen = match &version {
        Some(id) => find_model(authz, store_id, Some(id)).await?,
        None => latest.clone(),
    };
    let text = match &chosen {
        Some(chosen) => text_of(authz, store_id, chosen).await?,
        None => FIRST.to_owned(),
    };
    let base = latest.as_ref().map(|(id, _)| id.clone()).unwrap_or_default();
    let comparison = match (&compared, &chosen) {
        (Some(other), Some((id, _))) => match find_model(authz, store_id, Some(other)).await? {
            Some(from) => {
                let old = text_of(authz, store_id, &from).await?;
                Some(compare((&from.0, &old), (id, &text)))
            }
            None => None,
        },
        _ => None,
    };
    let typed = Typed { text, base, ..Typed::default() };
    let before = visit.take("before").parse().ok();
    let mut page = ModelPage::load(&visit, typed, before).await?;
    page.older = version.filter(|id| *id != page.base);
    page.saved = visit.params.take("saved").is_some();
    for version in &mut page.versions {
        version.is_shown =
            Some(&version.id) == page.older.as_ref() || page.older.is_none() && version.is_latest;
    }
    page.drawing = chosen.as_ref().map(|(_, model)| draw(model));
    page.modules = latest.as_ref().map(|(_, model)| model.modules()).unwrap_or_default();
    page.comparison = comparison;
    Ok(page)
}

/// Checks and previews what was typed; nothing is saved.
pub(crate) async fn preview(Form(mut visit): Form) -> Response {
    let is_live = visit.params.take("live").is_some();
    let typed = Typed::take(&mut visit.params);
    let previewed = async {
        let mut page = ModelPage::load(&visit, typed, None).await?;
        let (text, with) = (&page.text, &page.context);
        let (checked, model) = check(visit.authz(), &visit.store_id, text, with, is_live).await?;
        page.put(checked, model.as_ref());
        Ok(page)
    };
    shown(previewed.await, |_| false)
}

/// Saves what was typed as a new version.
pub(crate) async fn save(Form(mut visit): Form) -> Response {
    let typed = Typed::take(&mut visit.params);
    match saved(&visit, &typed).await {
        Ok(None) => visit.see("/model?saved=1"),
        Ok(Some((checked, problem))) => {
            let refused = async {
                let mut page = ModelPage::load(&visit, typed, None).await?;
                page.put(checked, None);
                page.problem = Some(problem);
                Ok(page)
            };
            shown(refused.await, |_| true)
        }
        Err(error) => failed(&error),
    }
}

/// Saves; what is given back is why not.
async fn saved(visit: &Visit, typed: &Typed) -> Result<Option<(Checked, String)>, AuthzError> {
    let refused = |text: &str| Ok(Some((Checked::default(), text.to_owned())));
    if typed.reason.len() > MAX_REASON {
        return refused("The reason is longer than 500 bytes.");
    }
    let (checked, model) = quick_check(&typed.text);
    let Some(model) = model else {
        return Ok(Some((checked, "The text has errors, listed below it.".to_owned())));
    };
    let (authz, store_id) = (visit.authz(), visit.store_id.as_str());
    let latest = find_model(authz, store_id, None).await?;
    let modules = latest.map(|(_, model)| model.modules()).unwrap_or_default();
    if !modules.is_empty() {
        return refused(
            "The model is made of modules: change their files and write it from there.",
        );
    }
    let actor = visit.actor();
    let author = Author { actor: &actor, reason: &typed.reason };
    match authz.replace_model(store_id, (model, &typed.text), &typed.base, author).await {
        Ok(model_id) => {
            if !typed.base.is_empty() {
                authz.carry_assertions(store_id, &typed.base, &model_id, &actor).await?;
            }
            Ok(None)
        }
        Err(AuthzError::Store(StoreError::Conflict { .. })) => refused(
            "Somebody saved another version meanwhile. Compare yours with it in the list of \
             versions, then save again from there.",
        ),
        Err(AuthzError::Model(error)) => {
            let trouble = Trouble::of_model(&error, &typed.text);
            let checked = Checked { troubles: vec![trouble], ..Checked::default() };
            Ok(Some((checked, "The text has an error, shown below it.".to_owned())))
        }
        Err(error) if is_refusal(&error) => refused(&format!("{error}.")),
        Err(error) => Err(error),
    }
}

impl ModelPage {
    async fn load(visit: &Visit, typed: Typed, before: Option<i64>) -> Result<Self, AuthzError> {
        let now = visit.context.identity.now();
        let (head, frame) = visit.head("/model").await?;
        let versions = visit.authz().model_versions(&visit.store_id, before, VERSIONS).await?;
        let older_versions = versions.last().map(|of| of.number).filter(|number| *number > 1);
        let latest = if before.is_none() { versions.first() } else { None };
        let latest = latest.map(|version| version.id.clone());
        let version = |of: ModelVersion| Version::new(of, latest.as_deref(), now);
        Ok(Self {
            frame,
            lines: colour(&typed.text),
            rows: typed.text.lines().count().saturating_add(2),
            columns: typed.text.lines().map(|line| line.chars().count()).max().unwrap_or(0) + 2,
            text: typed.text,
            base: typed.base,
            older: None,
            context: typed.context,
            reason: typed.reason,
            checked: Checked::default(),
            drawing: None,
            problem: None,
            saved: false,
            modules: Vec::new(),
            versions: versions.into_iter().map(version).collect(),
            older_versions,
            comparison: None,
            head,
        })
    }

    /// Shows what a check said, and the model if there is one.
    fn put(&mut self, checked: Checked, model: Option<&AuthorizationModel>) {
        for trouble in &checked.troubles {
            if let Some(line) = trouble.line.and_then(|line| self.lines.get_mut(line)) {
                line.mark = "wrong";
            }
        }
        let changed = checked.changed();
        self.drawing = model.map(|model| draw(model).with_used(&changed));
        self.checked = checked;
    }

    /// True if there is nothing in the way of saving.
    fn may_save(&self) -> bool {
        self.head.may_write && self.modules.is_empty()
    }

    fn has_comments(&self) -> bool {
        self.lines.iter().any(|line| line.tokens.iter().any(|token| token.class == "c-note"))
    }

    fn short_base(&self) -> String {
        shortened(&self.base)
    }
}

impl Version {
    fn new(of: ModelVersion, latest: Option<&str>, now: Timestamp) -> Self {
        Self {
            number: of.number,
            at: Shown::new(of.at, now),
            who: of.actor.as_ref().map_or_else(|| "not kept".to_owned(), who),
            reason: of.reason,
            is_shown: false,
            is_latest: latest == Some(of.id.as_str()),
            id: of.id,
        }
    }
}

pub(crate) fn samples() -> Vec<ModelPage> {
    let now = Timestamp::from_secs(1_795_507_200);
    let (head, frame) = Head::sample("/model");
    let text = super::samples::MODEL.to_owned();
    let version = |number: i64, is_latest: bool| Version {
        number,
        id: format!("01ARZ3NDEKTSV4RRFFQ69G5FA{number}"),
        at: Shown::new(Timestamp::from_secs(1_795_500_000), now),
        who: "auth0|ann".to_owned(),
        reason: "editors <i>hi".to_owned(),
        is_shown: is_latest,
        is_latest,
    };
    let model = AuthorizationModel::from_dsl(&text).unwrap_or_default();
    let page = ModelPage {
        frame,
        head,
        lines: colour(&text),
        rows: 20,
        columns: 40,
        text: text.clone(),
        base: "01ARZ3NDEKTSV4RRFFQ69G5FA2".to_owned(),
        older: None,
        context: String::new(),
        reason: String::new(),
        checked: Checked { effect: Some(effect::sample()), ..Checked::default() },
        drawing: Some(draw(&model)),
        problem: None,
        saved: true,
        modules: Vec::new(),
        versions: vec![version(2, true), version(1, false)],
        older_versions: Some(1),
        comparison: Some(compare(
            ("01ARZ3NDEKTSV4RRFFQ69G5FA1", FIRST),
            ("01ARZ3NDEKTSV4RRFFQ69G5FA2", &text),
        )),
    };
    let wrong = "model\n  schema 1.1\ntype doc\n  relations\n    define x: [<i>hi]\n";
    let (checked, _) = quick_check(wrong);
    let mut broken = ModelPage {
        text: wrong.to_owned(),
        lines: colour(wrong),
        older: Some("01ARZ3NDEKTSV4RRFFQ69G5FA1".to_owned()),
        problem: Some("The text has errors, listed below it.".to_owned()),
        saved: false,
        comparison: None,
        ..page.clone()
    };
    broken.put(checked, None);
    let modular = ModelPage {
        checked: Checked::default(),
        modules: vec!["core".to_owned(), "wiki".to_owned()],
        ..page.clone()
    };
    let first = ModelPage {
        checked: Checked::default(),
        base: String::new(),
        versions: Vec::new(),
        older_versions: None,
        drawing: None,
        comparison: None,
        ..broken.clone()
    };
    vec![page, broken, modular, first]
}
