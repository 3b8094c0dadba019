//! YAML as a tree that knows where each part stands, for errors that point at their line.
//!
//! One document, YAML's core schema, aliases; depth and size are bounded. It knows nothing of what
//! the files are about.

use std::collections::HashMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span as Marks};
use serde_json::{Map, Number, Value as Json};

/// A place in a file: line and column from zero, the column in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Region {
    /// Where it begins.
    pub start: Position,
    /// Behind its last character.
    pub end: Position,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) region: Region,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// What a plain scalar means is decided where it is used.
    Scalar {
        text: String,
        is_plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_region: Region,
    pub(crate) value: Node,
}

/// Why a text is not YAML that we read.
#[derive(Clone, Debug)]
pub(crate) struct YamlError {
    pub(crate) message: String,
    pub(crate) region: Region,
}

/// Lists and maps nested deeper than this are refused.
const MAX_DEPTH: usize = 64;

/// A file of more values than this is refused, aliases written out.
const MAX_NODES: usize = 2_000_000;

/// Reads one document; an empty one is null.
pub(crate) fn parse(text: &str) -> Result<Node, YamlError> {
    let mut options = Options::default();
    options.emit_comments = false;
    let mut builder = Builder::default();
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, marks) = next.map_err(|error| {
            let at = position(error.marker().line(), error.marker().col());
            YamlError { message: error.info(), region: Region { start: at, end: at } }
        })?;
        builder.event(event, region(&marks))?;
    }
    let nothing = Kind::Scalar { text: String::new(), is_plain: true };
    Ok(builder.root.unwrap_or_else(|| Node { region: Region::default(), kind: nothing }))
}

/// A list or a map that is not closed yet.
struct Open {
    node: Node,
    anchor: usize,
    /// A map's key that waits for its value.
    key: Option<(String, Region)>,
    keys: HashMap<String, ()>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    root: Option<Node>,
    nodes: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, region: Region) -> Result<(), YamlError> {
        let fail = |message: &str| YamlError { message: message.to_owned(), region };
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                let is_plain = style == ScalarStyle::Plain && !is_text;
                let kind = Kind::Scalar { text: text.into_owned(), is_plain };
                self.count(1, region)?;
                self.finish(Node { region, kind }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.begin(Kind::List(Vec::new()), anchor, region)
            }
            Event::MappingStart(_, anchor, _) => self.begin(Kind::Map(Vec::new()), anchor, region),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { mut node, anchor, .. }) = self.open.pop() else { return Ok(()) };
                node.region.end = region.end;
                self.finish(node, anchor)
            }
            Event::Alias(anchor) => {
                let size = self.anchors.get(&anchor).map_or(0, |(_, size)| *size);
                self.count(size, region)?;
                match self.anchors.get(&anchor).cloned() {
                    Some((node, _)) => self.finish(node, 0),
                    None => Err(fail("an alias inside of what it names")),
                }
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(fail("a second document; expected one"))
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, nodes: usize, region: Region) -> Result<(), YamlError> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} values");
            return Err(YamlError { message, region });
        }
        Ok(())
    }

    fn begin(&mut self, kind: Kind, anchor: usize, region: Region) -> Result<(), YamlError> {
        self.count(1, region)?;
        if self.open.len() >= MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(YamlError { message, region });
        }
        let node = Node { region, kind };
        self.open.push(Open { node, anchor, key: None, keys: HashMap::new() });
        Ok(())
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            let size = node.size();
            self.count(size, node.region)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut parent.node.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(entries) => match parent.key.take() {
                Some((key, key_region)) => entries.push(Entry { key, key_region, value: node }),
                None => {
                    let Kind::Scalar { text, .. } = node.kind else {
                        let message = "a key must be a text".to_owned();
                        return Err(YamlError { message, region: node.region });
                    };
                    if parent.keys.insert(text.clone(), ()).is_some() {
                        let message = format!("the key `{text}` stands twice");
                        return Err(YamlError { message, region: node.region });
                    }
                    parent.key = Some((text, node.region));
                }
            },
            Kind::Scalar { .. } => {}
        }
        Ok(())
    }
}

fn position(line: usize, column: usize) -> Position {
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Position { line: narrow(line.saturating_sub(1)), column: narrow(column) }
}

fn region(marks: &Marks) -> Region {
    Region {
        start: position(marks.start.line(), marks.start.col()),
        end: position(marks.end.line(), marks.end.col()),
    }
}

impl Node {
    fn size(&self) -> usize {
        match &self.kind {
            Kind::Scalar { .. } => 1,
            Kind::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Kind::Map(entries) => 1 + entries.iter().map(|entry| entry.value.size()).sum::<usize>(),
        }
    }

    /// The text, if it is one: quoted, or plain and nothing else.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, is_plain } => {
                (!is_plain || matches!(plain(text), Json::String(_))).then_some(text)
            }
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, is_plain: true } if plain(text).is_null())
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        match &self.kind {
            Kind::Scalar { text, is_plain: true } => plain(text).as_bool(),
            _ => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Self]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn as_map(&self) -> Option<&[Entry]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    pub(crate) fn to_json(&self) -> Json {
        match &self.kind {
            Kind::Scalar { text, is_plain: true } => plain(text),
            Kind::Scalar { text, .. } => Json::String(text.clone()),
            Kind::List(items) => items.iter().map(Self::to_json).collect(),
            Kind::Map(entries) => Json::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// As messages show it.
    pub(crate) fn shown(&self) -> String {
        match &self.kind {
            Kind::Scalar { text, .. } if self.is_null() && text.is_empty() => "nothing".to_owned(),
            Kind::Scalar { text, .. } => text.clone(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
        }
    }
}

/// What a plain scalar means in YAML's core schema (YAML 1.2.2 §10.3.2).
fn plain(text: &str) -> Json {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Json::Null,
        "true" | "True" | "TRUE" => return Json::Bool(true),
        "false" | "False" | "FALSE" => return Json::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| Json::String(text.to_owned()), Json::Number)
}

fn number(text: &str) -> Option<Number> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().map(Number::from);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return u64::from_str_radix(digits, 8).ok().map(Number::from);
    }
    let is_numeral = text.contains(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    if !is_numeral {
        return None;
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Number::from(whole));
    }
    text.parse().ok().and_then(Number::from_f64)
}
