//! `/console/audit/records/{id}`: a record, its content, and the way from its leaf to a signed root.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use behalf_core::Timestamp;
use behalf_http::{CspSource, HttpContext, Person};
use behalf_ledger::RecordProof;
use behalf_verify::hex;
use behalf_verify::merkle::{Step, inclusion_steps, leaf_hash};
use http::StatusCode;

use super::{failed, grouped, shortened};
use crate::frame::Frame;
use crate::show;
use crate::time::Shown;

/// A node of the drawing.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The left edge, and the middle.
    x: u32,
    middle: u32,
    y: u32,
    /// On the way itself, or beside it.
    is_way: bool,
    hash: String,
    covers: String,
}

/// A line of the drawing.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    x1: u32,
    y1: u32,
    x2: u32,
    y2: u32,
    is_way: bool,
}

/// The way from the leaf to the root.
#[derive(Clone, Debug)]
pub(crate) struct Drawing {
    nodes: Vec<Node>,
    lines: Vec<Line>,
    height: u32,
    /// The same in words.
    title: String,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "audit/record.html")]
pub(crate) struct RecordPage {
    frame: Frame,
    id: String,
    kind: String,
    actor: String,
    at: Shown,
    project: String,
    index: String,
    json: String,
    tree_size: String,
    signed: Shown,
    root: String,
    /// Whether the leaf leads to the root; it does unless somebody changed the database.
    is_proven: bool,
    drawing: Drawing,
}

pub(crate) fn samples() -> Vec<RecordPage> {
    let now = Timestamp::from_secs(1_795_507_200);
    let entry = r#"{"actor":{"sub":"auth0|owner","type":"user"},"facts":{"client_id":"web"},"id":"01JDF4Q0Z3V9T6WJ6M2X8C5K0100","log":"behalf.log/8c1f22a09be3d14c5e7a0b61","ts":"2026-11-24T07:59:00.000000Z","type":"sign_in.succeeded","v":1}"#;
    let (index, size) = (5, 11);
    let steps = inclusion_steps(&leaf_hash(entry.as_bytes()), index, size, &[[7; 32]; 4]);
    let page = RecordPage {
        frame: Frame::sample("/console/audit/records/1"),
        id: "01JDF4Q0Z3V9T6WJ6M2X8C5K0100".to_owned(),
        kind: "sign_in.succeeded".to_owned(),
        actor: "auth0|owner".to_owned(),
        at: Shown::new(Timestamp::from_secs(1_795_507_140), now),
        project: "default".to_owned(),
        index: index.to_string(),
        json: pretty(entry),
        tree_size: size.to_string(),
        signed: Shown::new(Timestamp::from_secs(1_795_507_190), now),
        root: "b1946ac9…d2611184".to_owned(),
        is_proven: true,
        drawing: draw(&leaf_hash(entry.as_bytes()), index, size, &steps.unwrap_or_default()),
    };
    vec![page.clone(), RecordPage { is_proven: false, ..page }]
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
    Path(id): Path<String>,
) -> Response {
    let RecordProof { record, path, checkpoint } = match context.ledger.prove(&id).await {
        Ok(proof) => proof,
        Err(error) => return failed(&error),
    };
    let now = context.identity.now();
    let leaf = leaf_hash(record.entry.as_bytes());
    let steps = inclusion_steps(&leaf, record.index, checkpoint.size, &path).unwrap_or_default();
    let top = steps.last().map_or(leaf, |step| step.node);
    let page = RecordPage {
        frame: Frame::new(&context, &session, &browser, "/console/audit/records"),
        kind: record.kind,
        actor: record.actor,
        at: Shown::new(record.at, now),
        project: record.project.to_string(),
        index: grouped(record.index),
        json: pretty(&record.entry),
        tree_size: grouped(checkpoint.size),
        signed: Shown::new(checkpoint.signed_at, now),
        root: shortened(&hex(&checkpoint.root)),
        is_proven: top == checkpoint.root,
        drawing: draw(&leaf, record.index, checkpoint.size, &steps),
        id: record.id,
    };
    show(StatusCode::OK, &page, true, &CspSource::default())
}

/// The entry on several lines, for reading.
fn pretty(entry: &str) -> String {
    serde_json::from_str::<serde_json::Value>(entry)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_unreadable| entry.to_owned())
}

/// Two columns; the way winds through them, and each sibling stands beside it.
fn draw(leaf: &[u8; 32], index: u64, size: u64, steps: &[Step]) -> Drawing {
    let mut nodes = Vec::new();
    let mut lines = Vec::new();
    let node = |x: u32, y: u32, is_way, hash: &[u8; 32], (first, end): (u64, u64)| {
        let last = end.saturating_sub(1);
        let covers = if first == last {
            format!("entry {}", grouped(first))
        } else {
            format!("entries {}–{}", grouped(first), grouped(last))
        };
        let middle = x.saturating_add(BOX_WIDTH / 2);
        Node { x, middle, y, is_way, hash: shortened(&hex(hash)), covers }
    };
    let own = (index, index.saturating_add(1));
    let root = steps.last().map_or(leaf, |step| &step.node);
    let mut parent = node(WIDTH.saturating_sub(BOX_WIDTH) / 2, 0, true, root, (0, size));
    // From the root down: what is a step's node above, its child is below.
    for (at, step) in steps.iter().enumerate().rev() {
        let y = parent.y.saturating_add(ROW);
        let (way_x, sibling_x) = if step.is_left { (RIGHT, 0) } else { (0, RIGHT) };
        let below = at.checked_sub(1).and_then(|below| steps.get(below));
        let (hash, covers) = below.map_or((leaf, own), |step| (&step.node, step.covers));
        let way = node(way_x, y, true, hash, covers);
        let sibling = node(sibling_x, y, false, &step.sibling, step.sibling_covers);
        for child in [&sibling, &way] {
            lines.push(Line {
                x1: parent.middle,
                y1: parent.y.saturating_add(BOX_HEIGHT),
                x2: child.middle,
                y2: child.y,
                is_way: child.is_way,
            });
        }
        nodes.push(std::mem::replace(&mut parent, way));
        nodes.push(sibling);
    }
    let height = parent.y.saturating_add(BOX_HEIGHT).saturating_add(2);
    nodes.push(parent);
    let title = format!(
        "Entry {} hashed together with {} siblings gives the root of all {} entries",
        grouped(index),
        steps.len(),
        grouped(size)
    );
    Drawing { nodes, lines, height, title }
}

/// Measures of the drawing, which fits a phone unscaled.
const WIDTH: u32 = 352;
const BOX_WIDTH: u32 = 164;
const BOX_HEIGHT: u32 = 40;
const ROW: u32 = 66;
const RIGHT: u32 = WIDTH - BOX_WIDTH;
