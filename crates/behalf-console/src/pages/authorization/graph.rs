//! A model as a drawing: a box for each type with its relations, an arrow from each kind of user
//! that a relation admits. Types stand behind those that they refer to: in columns where there is
//! room, and below each other, with the arrows in the margin, where there is not.

use std::collections::{BTreeMap, BTreeSet};

use behalf_authz::engine::{AuthorizationModel, RelationReference, TypeDefinition, Userset};

use super::colour::RelationName;

/// Types and arrows that are drawn at most; the text has the rest.
const MAX_TYPES: usize = 40;
const MAX_ARROWS: usize = 200;
/// Measures, in pixels.
const WIDE_BOX: usize = 180;
const NARROW_BOX: usize = 230;
const ARROWS: usize = 90;
const BETWEEN: usize = 56;
const GAP: usize = 20;
const ROW: usize = 34;
const HEAD: usize = 28;
const MARGIN: usize = 10;
/// Columns at most, so that the drawing can be read beside the text.
const MAX_COLUMNS: usize = 3;

/// The drawing, for places of two widths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drawing {
    pub(crate) wide: Sheet,
    pub(crate) narrow: Sheet,
    /// How many types are drawn, if the model has more.
    pub(crate) cut_to: Option<usize>,
}

/// One picture.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sheet {
    pub(crate) name: &'static str,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) box_width: usize,
    pub(crate) boxes: Vec<TypeBox>,
    pub(crate) arrows: Vec<Arrow>,
}

/// A type.
#[derive(Clone, Debug)]
pub(crate) struct TypeBox {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) height: usize,
    pub(crate) name: String,
    pub(crate) rows: Vec<RelationRow>,
}

/// A relation of a type.
#[derive(Clone, Debug)]
pub(crate) struct RelationRow {
    pub(crate) y: usize,
    pub(crate) name: String,
    pub(crate) rule: String,
    pub(crate) full_rule: String,
    pub(crate) is_used: bool,
}

/// From a kind of user to the relation that admits it.
#[derive(Clone, Debug)]
pub(crate) struct Arrow {
    pub(crate) path: String,
    pub(crate) words: String,
    pub(crate) is_used: bool,
    /// The relation that it leads to.
    target: RelationName,
}

/// The left edge of a box, and a height in it.
type Place = (usize, usize);

impl Drawing {
    /// The same, with these relations marked, and the arrows that lead to them.
    pub(crate) fn with_used(mut self, used: &BTreeSet<RelationName>) -> Self {
        for sheet in [&mut self.wide, &mut self.narrow] {
            for shape in &mut sheet.boxes {
                for row in &mut shape.rows {
                    row.is_used = used.contains(&(shape.name.clone(), row.name.clone()));
                }
            }
            for arrow in &mut sheet.arrows {
                arrow.is_used = used.contains(&arrow.target);
            }
        }
        self
    }
}

/// Draws the model.
pub(crate) fn draw(model: &AuthorizationModel) -> Drawing {
    let types: Vec<&TypeDefinition> = model.type_definitions.iter().take(MAX_TYPES).collect();
    let ranks = ranks(&types);
    let rank = |definition: &TypeDefinition| {
        ranks.get(definition.type_name.as_str()).copied().unwrap_or(0)
    };
    let mut ordered = types.clone();
    ordered.sort_by_key(|definition| rank(definition));
    let is_cut = model.type_definitions.len() > MAX_TYPES;
    Drawing {
        wide: wide(&ordered, rank),
        narrow: narrow(&ordered),
        cut_to: is_cut.then_some(MAX_TYPES),
    }
}

/// Below each other, the arrows in the margin.
fn narrow(types: &[&TypeDefinition]) -> Sheet {
    let mut sheet = Sheet {
        name: "narrow",
        width: ARROWS + NARROW_BOX + MARGIN,
        box_width: NARROW_BOX,
        ..Sheet::default()
    };
    let mut y = MARGIN;
    for definition in types {
        let shape = type_box(definition, ARROWS, y, NARROW_BOX);
        y += shape.height + GAP;
        sheet.boxes.push(shape);
    }
    sheet.height = y;
    sheet.arrows = arrows(types, &sheet.boxes, |source, target| {
        let (from, to) = (source.1, target.1);
        // A relation that admits its own users goes around its row.
        let (start, end) = if from == to { (from - 8, to + 8) } else { (from, to) };
        let bend = ARROWS - 16 - (start.abs_diff(end) / 5).min(ARROWS - 20);
        format!("M{ARROWS} {start} C{bend} {start} {bend} {end} {ARROWS} {end}")
    });
    sheet
}

/// In columns by rank, the arrows between them.
fn wide(types: &[&TypeDefinition], rank: impl Fn(&TypeDefinition) -> usize) -> Sheet {
    let ranks = types.iter().map(|definition| rank(definition) + 1).max().unwrap_or(1);
    let columns = ranks.min(MAX_COLUMNS);
    let mut ends = vec![MARGIN; columns];
    let mut sheet = Sheet { name: "wide", box_width: WIDE_BOX, ..Sheet::default() };
    for definition in types {
        // The first rank stands alone; the others share what is left.
        let column = match (rank(definition), columns) {
            (0, _) | (_, 1) => 0,
            (rank, columns) if ranks <= MAX_COLUMNS => rank.min(columns - 1),
            (rank, columns) => 1 + (rank - 1) * (columns - 1) / (ranks - 1),
        };
        let Some(end) = ends.get_mut(column) else { continue };
        let shape = type_box(definition, MARGIN + column * (WIDE_BOX + BETWEEN), *end, WIDE_BOX);
        *end += shape.height + GAP;
        sheet.boxes.push(shape);
    }
    sheet.width = 2 * MARGIN + columns * WIDE_BOX + (columns - 1) * BETWEEN + BETWEEN / 2;
    sheet.height = ends.into_iter().max().unwrap_or(0);
    sheet.arrows = arrows(types, &sheet.boxes, |(source, from), (target, to)| {
        let right = source + WIDE_BOX;
        if right < target {
            let half = (target - right) / 2;
            return format!(
                "M{right} {from} C{} {from} {} {to} {target} {to}",
                right + half,
                target - half
            );
        }
        // Backwards, or within a column: around the right side.
        let edge = target + WIDE_BOX;
        let (start, end) = if from == to { (from - 8, to + 8) } else { (from, to) };
        let bend = right.max(edge) + 14 + (start.abs_diff(end) / 8).min(BETWEEN / 2);
        format!("M{right} {start} C{bend} {start} {bend} {end} {edge} {end}")
    });
    sheet
}

fn type_box(definition: &TypeDefinition, x: usize, y: usize, width: usize) -> TypeBox {
    let rows = definition.relations.iter().enumerate().map(|(index, (name, userset))| {
        let full_rule = rule(definition, name, userset, 0);
        RelationRow {
            y: y + HEAD + index * ROW,
            name: name.clone(),
            rule: cut(&full_rule, width),
            full_rule,
            is_used: false,
        }
    });
    TypeBox {
        x,
        y,
        height: HEAD + definition.relations.len() * ROW,
        name: definition.type_name.clone(),
        rows: rows.collect(),
    }
}

/// The rank of each type: one more than the highest that it refers to. Types in a circle stop
/// rising after a few rounds.
fn ranks<'t>(types: &[&'t TypeDefinition]) -> BTreeMap<&'t str, usize> {
    let mut ranks: BTreeMap<&str, usize> =
        types.iter().map(|definition| (definition.type_name.as_str(), 0)).collect();
    for _round in 0..types.len().min(4) {
        for definition in types {
            let own = definition.type_name.as_str();
            let beyond = references(definition)
                .filter(|(_, reference)| reference.type_name != own)
                .filter_map(|(_, reference)| ranks.get(reference.type_name.as_str()))
                .max()
                .map_or(0, |rank| rank + 1);
            if let Some(rank) = ranks.get_mut(own) {
                *rank = (*rank).max(beyond);
            }
        }
    }
    ranks
}

fn references(definition: &TypeDefinition) -> impl Iterator<Item = (&str, &RelationReference)> {
    definition.relations.keys().flat_map(|relation| {
        let admitted = definition.directly_related_user_types(relation);
        admitted.iter().map(move |reference| (relation.as_str(), reference))
    })
}

/// The arrows between boxes; `path` draws one from a box's left edge and a height to another's.
fn arrows(
    types: &[&TypeDefinition],
    boxes: &[TypeBox],
    path: impl Fn(Place, Place) -> String,
) -> Vec<Arrow> {
    let find = |name: &str| boxes.iter().find(|known| known.name == name);
    let place = |known: &TypeBox, relation: &str| {
        let row = known.rows.iter().find(|row| row.name == relation);
        (known.x, row.map_or(known.y + HEAD / 2, |row| row.y + ROW / 2))
    };
    // `user` and `user:*` of one relation share an arrow.
    let mut arrows: BTreeMap<(Place, Place), Arrow> = BTreeMap::new();
    for definition in types {
        let Some(target) = find(&definition.type_name) else { continue };
        for (relation, reference) in references(definition) {
            let Some(source) = find(&reference.type_name) else { continue };
            let (from, to) = (place(source, &reference.relation), place(target, relation));
            let words =
                format!("{} may be {relation} of {}", reference.to_dsl(), definition.type_name);
            let arrow = arrows.entry((from, to)).or_insert_with(|| Arrow {
                path: path(from, to),
                words: String::new(),
                is_used: false,
                target: (definition.type_name.clone(), relation.to_owned()),
            });
            let separator = if arrow.words.is_empty() { "" } else { "; " };
            arrow.words = format!("{}{separator}{words}", arrow.words);
        }
    }
    let mut arrows: Vec<Arrow> = arrows.into_values().collect();
    arrows.truncate(MAX_ARROWS);
    arrows
}

/// The rule of a relation of a type, if the model has it.
pub(super) fn rule_of(
    model: &AuthorizationModel,
    type_name: &str,
    relation: &str,
) -> Option<String> {
    let definition = model.type_definitions.iter().find(|of| of.type_name == type_name)?;
    let userset = definition.relations.get(relation)?;
    Some(rule(definition, relation, userset, 0))
}

/// A relation's rule as the language says it; deep ones end in dots.
fn rule(definition: &TypeDefinition, relation: &str, userset: &Userset, depth: usize) -> String {
    if depth > 6 {
        return "…".to_owned();
    }
    let inner = |userset: &Userset| {
        let text = rule(definition, relation, userset, depth + 1);
        let is_group = matches!(
            userset,
            Userset::Union(_) | Userset::Intersection(_) | Userset::Difference(_)
        );
        if is_group { format!("({text})") } else { text }
    };
    let joined = |children: &[Userset], word: &str| {
        children.iter().map(inner).collect::<Vec<_>>().join(word)
    };
    match userset {
        Userset::This(_) => {
            let admitted = definition.directly_related_user_types(relation);
            let names: Vec<String> = admitted.iter().map(RelationReference::to_dsl).collect();
            format!("[{}]", names.join(", "))
        }
        Userset::ComputedUserset(computed) => computed.relation.clone(),
        Userset::TupleToUserset(through) => {
            format!("{} from {}", through.computed_userset.relation, through.tupleset.relation)
        }
        Userset::Union(children) => joined(&children.child, " or "),
        Userset::Intersection(children) => joined(&children.child, " and "),
        Userset::Difference(parts) => {
            format!("{} but not {}", inner(&parts.base), inner(&parts.subtract))
        }
    }
}

/// What fits into a box of this width.
fn cut(text: &str, width: usize) -> String {
    let room = (width - 2 * MARGIN) / 7 + 1;
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_stand_behind_what_they_refer_to_and_circles_end() {
        let text = "model\n  schema 1.1\ntype user\ntype group\n  relations\n    define member: [user, group#member]\n\
                    type a\n  relations\n    define x: [b, user]\ntype b\n  relations\n    define y: [a]\n";
        let drawing = draw(&AuthorizationModel::from_dsl(text).unwrap());
        let place = |sheet: &Sheet, name: &str| {
            let shape = sheet.boxes.iter().find(|known| known.name == name).unwrap();
            (shape.x, shape.y)
        };
        let (narrow, wide) = (&drawing.narrow, &drawing.wide);
        for name in ["group", "a"] {
            assert!(place(narrow, "user").1 < place(narrow, name).1);
            assert!(place(wide, "user").0 < place(wide, name).0);
        }
        for sheet in [narrow, wide] {
            assert_eq!(sheet.arrows.len(), 5);
            assert!(sheet.height < 4_000);
            assert!(sheet.boxes.iter().all(|shape| shape.x + sheet.box_width <= sheet.width));
        }
    }

    #[test]
    fn a_long_chain_of_types_keeps_to_the_columns() {
        let mut text = "model\n  schema 1.1\ntype t0\n".to_owned();
        for n in 1..12 {
            text.push_str(&format!("type t{n}\n  relations\n    define r: [t{}]\n", n - 1));
        }
        let drawing = draw(&AuthorizationModel::from_dsl(&text).unwrap());
        let columns: BTreeSet<usize> = drawing.wide.boxes.iter().map(|shape| shape.x).collect();
        assert_eq!(columns.len(), MAX_COLUMNS);
        assert_eq!(drawing.wide.boxes.len(), 12);
    }

    #[test]
    fn relations_that_are_used_stand_out_with_their_arrows() {
        let text = "model\n  schema 1.1\ntype user\ntype a\n  relations\n    define x: [user]\n    define y: [user]\n";
        let used = BTreeSet::from([("a".to_owned(), "x".to_owned())]);
        let drawing = draw(&AuthorizationModel::from_dsl(text).unwrap()).with_used(&used);
        for sheet in [&drawing.wide, &drawing.narrow] {
            let rows = sheet.boxes.iter().flat_map(|shape| &shape.rows);
            assert_eq!(rows.filter(|row| row.is_used).count(), 1);
            assert_eq!(sheet.arrows.iter().filter(|arrow| arrow.is_used).count(), 1);
        }
    }
}
