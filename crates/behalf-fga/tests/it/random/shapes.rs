//! Every shape of model that matters, one by one: written down, not thrown. Each is asked with
//! its tuples stored and sent along, against the plain definition.

use behalf_fga::{
    AuthorizationModel, CheckRequest, FgaStore, RequestContext, Userset, WriteRequest,
};
use serde_json::{Map, Value};

use super::oracle::{Model, Restriction, Rewrite, Tuple, kind_of};
use super::scope::{IDS, PARENT, RELATIONS, Scope, TYPES};
use super::{Case, Fitting, NOW, Tally, authorization_model, key, random_tuples, without_times};
use crate::dice::Dice;

/// Tuples of each shape; with three objects of each type, most of what can be there is.
const TUPLES: usize = 40;
/// Who may be related directly: plainly, under the condition, as everybody.
const DIRECT: [&str; 4] = ["user", "user with limit", "user:*", "user:* with limit"];
const OPERATORS: [&str; 3] = ["or", "and", "but not"];

/// A type's relation and how it is defined.
type Line = (&'static str, &'static str, String);

/// The model in which these relations are defined so, and every other as `[user]`.
fn model_of(lines: &[Line]) -> Model {
    let mut text = "model\n  schema 1.1\ntype user\ntype agent\n".to_owned();
    for name in TYPES {
        text += &format!("type {name}\n  relations\n");
        for relation in RELATIONS.into_iter().chain([PARENT]) {
            let line = lines.iter().find(|line| (line.0, line.1) == (name, relation));
            let default = if relation == PARENT { "[group, folder, doc]" } else { "[user]" };
            let definition = line.map_or(default, |line| &line.2);
            text += &format!("    define {relation}: {definition}\n");
        }
    }
    text += "condition limit(x: int) {\n  x < 10\n}\n";
    let parsed = AuthorizationModel::from_dsl(&text).unwrap_or_else(|_| panic!("{text}"));
    let mut model = Model::default();
    for definition in parsed.type_definitions {
        let metadata = definition.metadata.unwrap_or_default().relations.unwrap_or_default();
        for (relation, userset) in definition.relations {
            let admitted = metadata.get(&relation).cloned().unwrap_or_default();
            let admitted = admitted.directly_related_user_types.into_iter().map(|reference| {
                let user = match (reference.relation.as_str(), &reference.wildcard) {
                    ("", None) => reference.type_name,
                    ("", Some(_)) => format!("{}:*", reference.type_name),
                    (relation, _) => format!("{}#{relation}", reference.type_name),
                };
                Restriction { user, is_conditioned: !reference.condition.is_empty() }
            });
            let entry = (rewrite_of(userset), admitted.collect());
            model.0.insert((definition.type_name.clone(), relation), entry);
        }
    }
    model
}

fn rewrite_of(userset: Userset) -> Rewrite {
    let all = |operands: Vec<Userset>| operands.into_iter().map(rewrite_of).collect();
    match userset {
        Userset::This(_) => Rewrite::This,
        Userset::ComputedUserset(of) => Rewrite::Computed(of.relation),
        Userset::TupleToUserset(of) => {
            Rewrite::From(of.computed_userset.relation, of.tupleset.relation)
        }
        Userset::Union(of) => Rewrite::Or(all(of.child)),
        Userset::Intersection(of) => Rewrite::And(all(of.child)),
        Userset::Difference(of) => {
            Rewrite::ButNot(Box::new(rewrite_of(of.base)), Box::new(rewrite_of(of.subtract)))
        }
    }
}

/// Asks everything of the shape, with its tuples stored and sent along, with and without a value.
fn ask(lines: &[Line]) -> Tally {
    let mut tally = Tally::default();
    // Which tuples there are depends on the shape alone.
    let seed = lines
        .iter()
        .flat_map(|line| line.2.bytes())
        .fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut dice = Dice(seed | 1);
    let model = model_of(lines);
    let mut tuples = random_tuples(&mut dice, &Scope::large(), Fitting::Model(&model), TUPLES);
    without_times(&mut tuples);
    for (value, is_stored) in [(None, true), (Some(3), false), (Some(30), true)] {
        case(&model, &tuples, is_stored, value).run(&mut tally);
    }
    assert!(tally.allowed > 0 && tally.checks > tally.allowed, "{lines:?} says too little");
    tally
}

fn case(model: &Model, tuples: &[Tuple], is_stored: bool, value: Option<i64>) -> Case {
    let mut fga = FgaStore::new();
    let bound = fga.add_model(authorization_model(model)).unwrap();
    let (stored, contextual) =
        if is_stored { (tuples.to_vec(), Vec::new()) } else { (Vec::new(), tuples.to_vec()) };
    if !stored.is_empty() {
        let writes = stored.iter().map(key).collect();
        fga.write(&bound, &WriteRequest { writes, ..WriteRequest::default() }).unwrap();
    }
    Case::of(Scope::large(), (fga, bound), model.clone(), (stored, contextual), (value, Some(NOW)))
}

fn line(name: &'static str, relation: &'static str, definition: impl Into<String>) -> Line {
    (name, relation, definition.into())
}

/// Three more relations, each of the one before it.
fn chain(name: &'static str) -> [Line; 3] {
    [
        line(name, "editor", "viewer"),
        line(name, "blocked", "editor"),
        line(name, "member", "blocked"),
    ]
}

#[test]
fn every_combination_of_direct_users_holds_under_three_levels_of_relations() {
    let kinds = DIRECT.map(|kind| [kind.to_owned(), kind.replace("user", "agent")]);
    for chosen in 1_u32..1 << DIRECT.len() {
        let of = |agents: bool| {
            let chosen = kinds.iter().enumerate().filter(move |(at, _)| chosen & (1 << at) != 0);
            chosen.map(move |(_, kind)| kind[usize::from(agents)].clone())
        };
        // One user type alone, and both in the same ways.
        let one: Vec<String> = of(false).collect();
        let both: Vec<String> = of(false).chain(of(true)).collect();
        for admitted in [one, both] {
            let direct = line("doc", "viewer", format!("[{}]", admitted.join(", ")));
            let lines: Vec<Line> = std::iter::once(direct).chain(chain("doc")).collect();
            ask(&lines);
        }
    }
}

#[test]
fn operators_hold_over_conditions_and_wildcards() {
    for operator in OPERATORS {
        for left in DIRECT {
            for right in DIRECT {
                ask(&[
                    line("doc", "viewer", format!("[{left}]")),
                    line("doc", "editor", format!("[{right}]")),
                    line("doc", "blocked", format!("viewer {operator} editor")),
                    line("doc", "member", format!("[{left}] {operator} editor")),
                ]);
            }
        }
    }
}

#[test]
fn usersets_may_point_at_each_of_those_plainly_or_under_a_condition() {
    for through in ["group#member", "group#member with limit"] {
        for direct in DIRECT {
            ask(&[
                line("group", "member", format!("[{direct}]")),
                line("doc", "viewer", format!("[{through}]")),
                line("doc", "editor", "viewer"),
            ]);
        }
        for operator in OPERATORS {
            ask(&[
                line("group", "viewer", "[user, user:* with limit]"),
                line("group", "editor", "[user with limit, user:*]"),
                line("group", "member", format!("viewer {operator} editor")),
                line("doc", "viewer", format!("[user, {through}]")),
                line("doc", "editor", format!("[user] {operator} viewer")),
            ]);
        }
    }
}

#[test]
fn parents_may_be_of_one_type_or_several_conditioned_or_usersets() {
    for parents in [
        "[folder]",
        "[group, folder, doc]",
        "[folder with limit]",
        "[folder, folder with limit, group with limit]",
    ] {
        for direct in DIRECT {
            ask(&[
                line("folder", "viewer", format!("[{direct}]")),
                line("group", "viewer", format!("[{direct}, agent]")),
                line("doc", PARENT, parents),
                line("doc", "viewer", "viewer from parent"),
                line("doc", "editor", "[user] or viewer"),
                line("doc", "blocked", "[user:*] but not viewer"),
                line("doc", "member", "editor and viewer"),
            ]);
        }
    }
}

#[test]
fn usersets_and_parents_hold_mixed_over_three_and_four_levels() {
    for operator in OPERATORS {
        for end in ["[user]", "[user, user:* with limit]"] {
            // Usersets of what comes from parents, and the other way round.
            ask(&[
                line("group", "member", end),
                line("folder", PARENT, "[group]"),
                line("folder", "viewer", "member from parent"),
                line("doc", "viewer", "[folder#viewer, user with limit]"),
                line("doc", "editor", format!("viewer {operator} blocked")),
            ]);
            ask(&[
                line("group", "member", end),
                line("folder", "viewer", "[group#member, group#member with limit]"),
                line("doc", PARENT, "[folder]"),
                line("doc", "viewer", "viewer from parent"),
                line("doc", "editor", format!("[user] {operator} viewer")),
            ]);
            ask(&[
                line("group", "viewer", end),
                line("group", "member", format!("[folder#viewer] {operator} viewer")),
                line("folder", PARENT, "[doc with limit, doc]"),
                line("folder", "viewer", format!("[user] {operator} blocked from parent")),
                line("doc", "blocked", "[user, agent:*]"),
                line("doc", PARENT, "[group]"),
                line("doc", "viewer", "member from parent"),
                line("doc", "editor", format!("(viewer or blocked) {operator} member")),
            ]);
        }
    }
}

#[test]
fn recursive_relations_hold_alone_and_with_more_operands() {
    for more in ["", " or editor", " or (viewer but not editor)", " or (viewer and editor)"] {
        for direct in ["user", "user, user:*", "user:* with limit"] {
            for edge in ["group#member", "group#member with limit"] {
                ask(&[
                    line("group", "member", format!("[{direct}, {edge}]{more}")),
                    line("doc", "viewer", "[group#member]"),
                ]);
            }
            for parent in ["[folder]", "[folder with limit]"] {
                ask(&[
                    line("folder", PARENT, parent),
                    line("folder", "member", format!("[{direct}] or member from parent{more}")),
                    line("doc", PARENT, "[folder]"),
                    line("doc", "viewer", "member from parent"),
                ]);
            }
        }
    }
}

#[test]
fn restrictions_may_mix_usersets_wildcards_and_users_and_cross_types_in_circles() {
    ask(&[
        line("doc", "viewer", "[group#member, group:*, user, user:*]"),
        line("doc", "editor", "[group#member with limit, user:* with limit, agent]"),
        line("doc", "blocked", "viewer but not editor"),
        line("group", "member", "[user, agent:*]"),
    ]);
    for operator in OPERATORS {
        // Circles of two and of three types.
        ask(&[
            line("group", "member", "[user, folder#viewer]"),
            line("folder", "viewer", format!("[user, group#member] {operator} editor")),
        ]);
        ask(&[
            line("group", "member", "[user, folder#viewer]"),
            line("folder", "viewer", "[user with limit, doc#viewer]"),
            line("doc", "viewer", format!("[user, group#member] {operator} blocked")),
        ]);
    }
    // No way leads from agents to anything here.
    let tally = ask(&[line("doc", "viewer", "[user]")]);
    assert_eq!(tally.failures, 0);
}

/// A chain of groups or folders as long as that, the condition on every edge met or not.
#[test]
fn a_recursive_relation_reaches_each_level_of_a_chain() {
    for (edge, is_conditioned) in [("", false), (" with limit", true)] {
        for (name, relation, lines) in [
            (
                "group",
                "member",
                vec![line("group", "member", format!("[user, group#member{edge}]"))],
            ),
            (
                "folder",
                "viewer",
                vec![
                    line("folder", PARENT, format!("[folder{edge}]")),
                    line("folder", "viewer", "[user] or viewer from parent"),
                ],
            ),
        ] {
            let model = model_of(&lines);
            let tuple = |user: String, relation: &str, level: usize| Tuple {
                object: format!("{name}:{level}"),
                relation: relation.to_owned(),
                limit: (is_conditioned && kind_of(&user) != "user").then_some(None),
                user,
                ..Tuple::default()
            };
            let mut tuples = vec![tuple("user:ann".to_owned(), relation, 0)];
            tuples.extend((1..=4).map(|level| match name {
                "group" => tuple(format!("group:{}#member", level - 1), relation, level),
                _ => tuple(format!("folder:{}", level - 1), PARENT, level),
            }));
            for (value, is_stored) in [3, 30].into_iter().flat_map(|x| [(x, true), (x, false)]) {
                let case = case(&model, &tuples, is_stored, Some(value));
                let along: Vec<_> = case.contextual.iter().map(key).collect();
                let context: Map<String, Value> =
                    std::iter::once(("x".to_owned(), value.into())).collect();
                let request = RequestContext {
                    contextual_tuples: &along,
                    context: Some(&context),
                    ..RequestContext::default()
                };
                let snapshot = case.fga.snapshot();
                for level in 0..=4 {
                    for (user, is_known) in [("user:ann", true), ("user:bob", false)] {
                        let object = format!("{name}:{level}");
                        let check = CheckRequest { user, relation, object: &object, request };
                        let is_met = level == 0 || !is_conditioned || value < 10;
                        assert_eq!(
                            snapshot.check(&case.bound, &check),
                            Ok(is_known && is_met),
                            "{user} {relation} {object}, x = {value}{edge}"
                        );
                    }
                }
            }
        }
    }
    assert_eq!(IDS.len(), 3, "the other tests go three levels deep");
}
