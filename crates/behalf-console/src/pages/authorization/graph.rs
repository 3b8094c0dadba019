//! A model as a drawing: a box for each type with its relations, an arrow from each kind of user
//! that a relation admits. A type stands below those that it refers to, and the arrows run in the
//! margin, so that it fits beside the text and on a phone.

use std::collections::BTreeMap;

use behalf_authz::engine::{AuthorizationModel, RelationReference, TypeDefinition, Userset};

/// Types and arrows that are drawn at most; the text has the rest.
const MAX_TYPES: usize = 40;
const MAX_ARROWS: usize = 200;
/// Measures, in pixels.
const WIDTH: usize = 230;
const ARROWS: usize = 90;
const GAP: usize = 20;
const ROW: usize = 34;
const HEAD: usize = 28;
const MARGIN: usize = 10;

/// The drawing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drawing {
    pub(crate) width: usize,
    pub(crate) height: usize,
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
}

/// From a kind of user to the relation that admits it.
#[derive(Clone, Debug)]
pub(crate) struct Arrow {
    pub(crate) path: String,
    pub(crate) words: String,
}

/// Draws the model.
pub(crate) fn draw(model: &AuthorizationModel) -> Drawing {
    let types: Vec<&TypeDefinition> = model.type_definitions.iter().take(MAX_TYPES).collect();
    let ranks = ranks(&types);
    let rank = |definition: &&&TypeDefinition| ranks.get(definition.type_name.as_str()).copied();
    let mut ordered: Vec<&&TypeDefinition> = types.iter().collect();
    ordered.sort_by_key(rank);
    let mut drawing = Drawing { width: ARROWS + WIDTH + MARGIN, ..Drawing::default() };
    let mut y = MARGIN;
    for definition in ordered {
        let height = HEAD + definition.relations.len() * ROW;
        let rows = definition.relations.iter().enumerate().map(|(index, (name, userset))| {
            let full_rule = rule(definition, name, userset, 0);
            RelationRow {
                y: y + HEAD + index * ROW,
                name: name.clone(),
                rule: cut(&full_rule),
                full_rule,
            }
        });
        let rows = rows.collect();
        let name = definition.type_name.clone();
        drawing.boxes.push(TypeBox { x: ARROWS, y, height, name, rows });
        y += height + GAP;
    }
    drawing.height = y;
    drawing.arrows = arrows(&types, &drawing.boxes);
    drawing
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

fn arrows(types: &[&TypeDefinition], boxes: &[TypeBox]) -> Vec<Arrow> {
    let find = |name: &str| boxes.iter().find(|known| known.name == name);
    let row_y = |known: &TypeBox, relation: &str| {
        let row = known.rows.iter().find(|row| row.name == relation);
        row.map_or(known.y + HEAD / 2, |row| row.y + ROW / 2)
    };
    // `user` and `user:*` of one relation share an arrow.
    let mut arrows: BTreeMap<(usize, usize), Arrow> = BTreeMap::new();
    for definition in types {
        let Some(target) = find(&definition.type_name) else { continue };
        for (relation, reference) in references(definition) {
            let Some(source) = find(&reference.type_name) else { continue };
            let (from, to) = (row_y(source, &reference.relation), row_y(target, relation));
            let words =
                format!("{} may be {relation} of {}", reference.to_dsl(), definition.type_name);
            // A relation that admits its own users goes around its row.
            let (start, end) = if from == to { (from - 8, to + 8) } else { (from, to) };
            let bend = ARROWS - 16 - (start.abs_diff(end) / 5).min(ARROWS - 20);
            let path = format!("M{ARROWS} {start} C{bend} {start} {bend} {end} {ARROWS} {end}");
            let arrow = arrows.entry((from, to)).or_insert(Arrow { path, words: String::new() });
            let separator = if arrow.words.is_empty() { "" } else { "; " };
            arrow.words = format!("{}{separator}{words}", arrow.words);
        }
    }
    let mut arrows: Vec<Arrow> = arrows.into_values().collect();
    arrows.truncate(MAX_ARROWS);
    arrows
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

/// What fits into a box.
fn cut(text: &str) -> String {
    if text.chars().count() <= 32 {
        return text.to_owned();
    }
    text.chars().take(31).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_stand_below_what_they_refer_to_and_circles_end() {
        let text = "model\n  schema 1.1\ntype user\ntype group\n  relations\n    define member: [user, group#member]\n\
                    type a\n  relations\n    define x: [b, user]\ntype b\n  relations\n    define y: [a]\n";
        let drawing = draw(&AuthorizationModel::from_dsl(text).unwrap());
        let y = |name: &str| drawing.boxes.iter().find(|known| known.name == name).unwrap().y;
        assert!(y("user") < y("group") && y("user") < y("a"));
        assert_eq!(drawing.arrows.len(), 5);
        assert!(drawing.height < 4_000);
    }
}
