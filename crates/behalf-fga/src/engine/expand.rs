//! Expand: what a relation of an object is made of, one level deep.
//!
//! Nothing is evaluated: a tuple under a condition is shown like another.

use hashbrown::HashSet;
use serde::Serialize;

use super::overlay::Overlay;
use super::plan::{Node, StoreModel};
use super::request::{RequestContext, target};
use super::scope::Scope;
use crate::error::{RequestError, TupleError};
use crate::model::Userset;
use crate::store::{Snapshot, TableKey};
use crate::tuple::parse_object;

/// A relation of an object, as OpenFGA's Expand shows it; its JSON is OpenFGA's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsersetTree {
    /// The relation's rewrite.
    pub root: TreeNode,
}

/// A part of the rewrite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TreeNode {
    /// `object#relation`, the same in the whole tree.
    pub name: String,
    /// What the part is.
    #[serde(flatten)]
    pub value: TreeValue,
}

/// What a part of a rewrite is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "the variants are the rewrite's operators, the fields its operands"
)]
pub enum TreeValue {
    Leaf(Leaf),
    Difference { base: Box<TreeNode>, subtract: Box<TreeNode> },
    Union { nodes: Vec<TreeNode> },
    Intersection { nodes: Vec<TreeNode> },
}

/// A part that names users or other relations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each field is described with its variant")]
pub enum Leaf {
    /// The users of the relation's own tuples.
    Users { users: Vec<String> },
    /// Another relation of the object.
    Computed(ComputedLeaf),
    /// A relation of the objects that the tupleset's tuples name.
    TupleToUserset { tupleset: String, computed: Vec<ComputedLeaf> },
}

/// `object#relation`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the type says it")]
pub struct ComputedLeaf {
    pub userset: String,
}

impl Snapshot {
    /// Shows what a relation of an object is made of, one level deep.
    ///
    /// # Errors
    /// When the request is invalid under the model.
    pub fn expand(
        &self,
        model: &StoreModel,
        object: &str,
        relation: &str,
        request: &RequestContext<'_>,
    ) -> Result<UsersetTree, RequestError> {
        let parsed = parse_object(object).map_err(RequestError::InvalidInput)?;
        let node = target(model, parsed.type_name, relation).map_err(|error| match error {
            RequestError::TypeNotFound(name) => {
                RequestError::InvalidInput(TupleError::TypeNotFound(name))
            }
            RequestError::RelationNotFound { object_type, relation } => {
                RequestError::InvalidInput(TupleError::RelationNotFound { object_type, relation })
            }
            error => error,
        })?;
        let mut overlay = Overlay::new(self, model, request)?;
        let object_type = model.node(node).map_or(u32::MAX, |node| node.object_type);
        let number = overlay.object(self, object_type, parsed.id);
        let scope = Scope { snapshot: self, model, overlay: &overlay, request: *request };
        let level = Level { scope, object, number, name: format!("{object}#{relation}") };
        let node = model.node(node);
        let rewrite = node.and_then(|node| {
            Some((node, model.definition(node)?.relations.get(&*node.relation_name)?))
        });
        match rewrite {
            Some((node, rewrite)) => Ok(UsersetTree { root: level.node(node, rewrite) }),
            None => Err(RequestError::InvalidInput(TupleError::MalformedRelation)),
        }
    }
}

struct Level<'a> {
    scope: Scope<'a>,
    object: &'a str,
    number: u32,
    name: String,
}

impl Level<'_> {
    fn node(&self, node: &Node, rewrite: &Userset) -> TreeNode {
        let all =
            |children: &[Userset]| children.iter().map(|child| self.node(node, child)).collect();
        let value = match rewrite {
            Userset::This(_) => TreeValue::Leaf(Leaf::Users { users: self.users(node) }),
            Userset::ComputedUserset(computed) => {
                let userset = format!("{}#{}", self.object, computed.relation);
                TreeValue::Leaf(Leaf::Computed(ComputedLeaf { userset }))
            }
            Userset::TupleToUserset(ttu) => {
                let tupleset = &ttu.tupleset.relation;
                let computed = self.parents(node, tupleset, &ttu.computed_userset.relation);
                let tupleset = format!("{}#{tupleset}", self.object);
                TreeValue::Leaf(Leaf::TupleToUserset { tupleset, computed })
            }
            Userset::Union(children) => TreeValue::Union { nodes: all(&children.child) },
            Userset::Intersection(children) => {
                TreeValue::Intersection { nodes: all(&children.child) }
            }
            Userset::Difference(pair) => TreeValue::Difference {
                base: Box::new(self.node(node, &pair.base)),
                subtract: Box::new(self.node(node, &pair.subtract)),
            },
        };
        TreeNode { name: self.name.clone(), value }
    }

    /// The users of the relation's own tuples that the model admits, each once.
    fn users(&self, node: &Node) -> Vec<String> {
        let mut seen = HashSet::new();
        let mut users = Vec::new();
        for class in &node.direct {
            let Some(table) = self.scope.snapshot.table(class.table) else { continue };
            for (subject, guard) in self.scope.edges(class, self.number) {
                let condition = guard.and_then(|guard| guard.condition);
                if self.scope.model.admits(class, condition).is_ok()
                    && seen.insert((class.table, subject))
                {
                    users.push(self.subject(&table.key, subject));
                }
            }
        }
        users
    }

    fn parents(&self, node: &Node, tupleset: &str, relation: &str) -> Vec<ComputedLeaf> {
        let plan = self.scope.model.types.get(node.type_index);
        let tupleset = plan.and_then(|plan| plan.relations.get(tupleset));
        let Some(tupleset) = tupleset.and_then(|id| self.scope.model.node(*id)) else {
            return Vec::new();
        };
        let parents = self.users(tupleset).into_iter();
        parents.map(|parent| ComputedLeaf { userset: format!("{parent}#{relation}") }).collect()
    }

    /// A user's text, of the store or of the request.
    fn subject(&self, key: &TableKey, subject: u32) -> String {
        let id = self.scope.overlay.id(self.scope.snapshot, key.subject_type, subject);
        self.scope.snapshot.subject_text(key, id.unwrap_or_default())
    }
}
