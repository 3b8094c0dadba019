//! A model as a drawing: a block for each type with its relations below each other, and in the margin
//! a line for each kind of user, from where it comes from to every relation that admits it. Each line
//! has a lane of its own, so lines meet only where one crosses another. The margin is cut into the
//! rows of the text beside it: a block can be closed, and what is left still joins.

mod lanes;

use std::collections::{BTreeMap, BTreeSet};

use behalf_authz::engine::{AuthorizationModel, RelationReference, TypeDefinition, Userset};

use super::colour::RelationName;
use lanes::{Strokes, lanes};

/// Types and relations that are drawn at most; the text has the rest.
const MAX_TYPES: usize = 40;
const MAX_RELATIONS: usize = 400;
/// With more relations than this, blocks come closed.
const MAX_OPEN: usize = 40;
/// Heights in pixels, as the style sheet has them.
const HEAD: usize = 36;
const ROW: usize = 36;
const GAP: usize = 12;
/// More than any block is high; what stands beyond a block is not seen.
const LONGEST: usize = 20_000;
/// Between two lanes, and between two of many.
const WIDE_LANE: usize = 11;
const NARROW_LANE: usize = 7;
/// From the last lane to the text, for the arrows' heads.
const ARROW: usize = 14;

/// The drawing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drawing {
    pub(crate) blocks: Vec<Block>,
    /// The margin's width, in pixels.
    pub(crate) margin: usize,
    /// How many types are drawn, if the model has more.
    pub(crate) cut_to: Option<usize>,
}

/// A type.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) name: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) is_open: bool,
    pub(crate) is_used: bool,
    /// Lines that pass the block, whole.
    pub(crate) rails: Strokes,
    /// The margin beside the name, while the block is open.
    pub(crate) head: Strokes,
    /// The same while it is closed, with what its relations have.
    pub(crate) closed: Strokes,
    /// The margin below the block.
    pub(crate) gap: Strokes,
}

/// A relation of a type.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) rule: String,
    pub(crate) is_used: bool,
    pub(crate) strokes: Strokes,
}

impl Drawing {
    /// True if there is anything to open and to close.
    pub(crate) fn has_relations(&self) -> bool {
        self.blocks.iter().any(|block| !block.rows.is_empty())
    }

    /// The same, with these relations marked, and the lines that lead to them.
    pub(crate) fn with_used(mut self, used: &BTreeSet<RelationName>) -> Self {
        for block in &mut self.blocks {
            for row in &mut block.rows {
                row.is_used = used.contains(&(block.name.clone(), row.name.clone()));
                if row.is_used {
                    row.strokes.mark();
                    block.closed.mark();
                    (block.is_used, block.is_open) = (true, true);
                }
            }
        }
        self
    }
}

/// Draws the model.
pub(crate) fn draw(model: &AuthorizationModel) -> Drawing {
    let mut room = MAX_RELATIONS;
    let fits = |definition: &&TypeDefinition| {
        let left = room.checked_sub(definition.relations.len());
        room = left.unwrap_or(0);
        left.is_some()
    };
    let types: Vec<&TypeDefinition> =
        model.type_definitions.iter().take(MAX_TYPES).take_while(fits).collect();
    let is_cut = model.type_definitions.len() > types.len();
    let cut_to = is_cut.then_some(types.len());
    let types = ordered(types);
    let (lanes, slots) = lanes(&types);
    let lane = if slots > 8 { NARROW_LANE } else { WIDE_LANE };
    let margin = if slots == 0 { 0 } else { slots * lane + ARROW };
    let x = |slot: usize| margin - ARROW - slot * lane;
    let is_open = types.iter().map(|of| of.relations.len()).sum::<usize>() <= MAX_OPEN;
    let blocks = types.iter().enumerate().map(|(index, definition)| {
        let strokes =
            |row: Option<usize>, height| Strokes::beside(&lanes, (index, row), (height, margin), x);
        let rows = definition.relations.iter().enumerate().map(|(at, (name, userset))| Row {
            name: name.clone(),
            rule: rule(definition, name, userset, 0),
            is_used: false,
            strokes: strokes(Some(at), ROW),
        });
        Block {
            name: definition.type_name.clone(),
            rows: rows.collect(),
            is_open,
            is_used: false,
            rails: Strokes::through(lanes.iter().filter(|lane| lane.passes(index)), LONGEST, x),
            head: strokes(None, HEAD),
            closed: Strokes::closed(&lanes, index, (HEAD, margin), x),
            gap: Strokes::through(lanes.iter().filter(|lane| lane.leaves(index)), GAP, x),
        }
    });
    Drawing { blocks: blocks.collect(), margin, cut_to }
}

/// The types in an order that keeps lines short: each behind those that it refers to, and as soon
/// behind the last of them as can be. Where types stand in a circle, the one with the fewest
/// references ahead begins.
fn ordered(mut left: Vec<&TypeDefinition>) -> Vec<&TypeDefinition> {
    let names: BTreeSet<&str> = left.iter().map(|of| of.type_name.as_str()).collect();
    let beyond = |definition: &TypeDefinition| -> BTreeSet<String> {
        let own = definition.type_name.as_str();
        let others = references(definition).map(|(_, reference)| reference.type_name.as_str());
        let known = others.filter(|name| *name != own && names.contains(name));
        known.map(str::to_owned).collect()
    };
    let mut references: BTreeMap<String, BTreeSet<String>> =
        left.iter().map(|of| (of.type_name.clone(), beyond(of))).collect();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut placed = Vec::new();
    while !left.is_empty() {
        let rank = |definition: &TypeDefinition| {
            let all = references.get(&definition.type_name);
            let ahead =
                all.map_or(0, |all| all.iter().filter(|of| !places.contains_key(*of)).count());
            let last = all.and_then(|all| all.iter().filter_map(|of| places.get(of)).max());
            (ahead, std::cmp::Reverse(last.map_or(0, |place| place + 1)))
        };
        let next = left.iter().enumerate().min_by_key(|(_, of)| rank(of)).map(|(index, _)| index);
        let definition = left.remove(next.unwrap_or(0));
        places.insert(definition.type_name.clone(), placed.len());
        references.remove(&definition.type_name);
        placed.push(definition);
    }
    placed
}

/// What each relation of a type admits.
fn references(definition: &TypeDefinition) -> impl Iterator<Item = (&str, &RelationReference)> {
    definition.relations.keys().flat_map(|relation| {
        let admitted = definition.directly_related_user_types(relation);
        admitted.iter().map(move |reference| (relation.as_str(), reference))
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing(text: &str) -> Drawing {
        draw(&AuthorizationModel::from_dsl(text).unwrap())
    }

    fn names(drawing: &Drawing) -> Vec<&str> {
        drawing.blocks.iter().map(|block| block.name.as_str()).collect()
    }

    #[test]
    fn types_stand_behind_what_they_refer_to_and_circles_end() {
        let text = "model\n  schema 1.1\ntype c\n  relations\n    define x: [group#member]\n\
                    type user\ntype group\n  relations\n    define member: [user, group#member]\n\
                    type a\n  relations\n    define x: [b, user]\ntype b\n  relations\n    define y: [a]\n";
        assert_eq!(names(&drawing(text)), ["user", "group", "c", "a", "b"]);
    }

    #[test]
    fn each_kind_of_user_has_a_lane_of_its_own_where_lines_are_beside_each_other() {
        let text = "model\n  schema 1.1\ntype user\ntype team\n  relations\n    define member: [user, team#member]\n\
                    type repo\n  relations\n    define owner: [user, team]\n    define reader: [user, user:*, team#member]\n";
        let drawing = drawing(text);
        let repo = drawing.blocks.last().unwrap();
        let lines =
            |strokes: &Strokes| strokes.lines().map(|line| line.d.clone()).collect::<Vec<_>>();
        // `user` and `user:*` share a line.
        let reader = lines(&repo.rows[1].strokes);
        assert_eq!(reader.iter().filter(|d| d.contains('H')).count(), 2, "{reader:?}");
        let team = &drawing.blocks[1];
        let columns: BTreeSet<String> = team
            .gap
            .lines()
            .chain(team.rails.lines())
            .map(|line| line.d.split(' ').next().unwrap().to_owned())
            .collect();
        assert_eq!(columns.len(), 3, "user, team and team#member: {columns:?}");
    }

    #[test]
    fn a_large_model_comes_closed_and_is_cut_at_a_bound() {
        let mut text = "model\n  schema 1.1\ntype t0\n".to_owned();
        for n in 1..60 {
            text.push_str(&format!("type t{n}\n  relations\n    define r: [t{}]\n", n - 1));
        }
        let chain = drawing(&text);
        assert_eq!((chain.blocks.len(), chain.cut_to), (40, Some(40)));
        assert!(chain.blocks.iter().all(|block| block.is_open), "39 relations fit");
        // Each line ends before the next begins, so two lanes are enough.
        assert_eq!(chain.margin, 2 * WIDE_LANE + ARROW);
        let wide: String = (0..50).map(|n| format!("    define r{n}: [user]\n")).collect();
        let text = format!("model\n  schema 1.1\ntype user\ntype doc\n  relations\n{wide}");
        let drawing = drawing(&text);
        assert!(drawing.blocks.iter().all(|block| !block.is_open));
        assert_eq!(drawing.blocks[1].closed.lines().filter(|line| line.d.contains('H')).count(), 1);
    }

    #[test]
    fn a_relation_that_admits_very_many_kinds_of_users_is_drawn_within_its_row() {
        let names: Vec<String> = (0..30).map(|n| format!("t{n}")).collect();
        let types: String = names.iter().map(|name| format!("type {name}\n")).collect();
        let admits = names.join(", ");
        let text =
            format!("model\n  schema 1.1\n{types}type z\n  relations\n    define r: [{admits}]\n");
        let drawing = drawing(&text);
        let heads = drawing.blocks.last().unwrap().rows[0].strokes.lines();
        let heads: Vec<&str> = heads.filter_map(|line| line.d.split(" M").nth(1)).collect();
        assert_eq!(heads.len(), 30);
        for head in heads {
            let numbers = head.split([' ', 'L']).filter(|number| !number.is_empty());
            let numbers: Vec<usize> = numbers.map(|number| number.parse().unwrap()).collect();
            assert!(numbers[1] <= ROW && numbers[5] <= ROW, "{head}");
        }
    }

    #[test]
    fn relations_that_are_used_stand_out_in_an_open_block() {
        let text = "model\n  schema 1.1\ntype user\ntype a\n  relations\n    define x: [user]\n    define y: [user]\n";
        let used = BTreeSet::from([("a".to_owned(), "x".to_owned())]);
        let drawing = drawing(text).with_used(&used);
        let rows: Vec<&Row> = drawing.blocks.iter().flat_map(|block| &block.rows).collect();
        assert_eq!(rows.iter().filter(|row| row.is_used).count(), 1);
        let marked = rows.iter().flat_map(|row| row.strokes.lines()).filter(|line| line.is_used);
        assert_eq!(marked.count(), 1);
    }
}
