//! What a bound model is made of.

use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;

use super::weighted::Fit;
use crate::condition::CompiledCondition;
use crate::model::AuthorizationModel;
use crate::store::Snapshot;

/// A model compiled for one store.
pub struct StoreModel {
    pub(super) model: AuthorizationModel,
    pub(super) identity: Arc<crate::store::Identity>,
    pub(super) types: Vec<TypePlan>,
    pub(super) type_numbers: HashMap<Box<str>, usize>,
    pub(super) nodes: Vec<Node>,
    pub(super) components: Vec<Component>,
    pub(super) conditions: HashMap<Box<str>, CompiledCondition>,
    /// What v2 needs to know, once it was asked.
    pub(super) fit: OnceLock<Fit>,
}

impl std::fmt::Debug for StoreModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreModel")
            .field("id", &self.model.id)
            .field("nodes", &self.nodes.len())
            .finish_non_exhaustive()
    }
}

impl StoreModel {
    /// The model as it was given.
    pub fn model(&self) -> &AuthorizationModel {
        &self.model
    }

    pub(crate) fn belongs_to(&self, snapshot: &Snapshot) -> bool {
        Arc::ptr_eq(&self.identity, snapshot.identity())
    }

    pub(super) fn type_plan(&self, name: &str) -> Option<&TypePlan> {
        self.types.get(*self.type_numbers.get(name)?)
    }

    pub(super) fn node(&self, node: NodeId) -> Option<&Node> {
        self.nodes.get(node.0 as usize)
    }

    pub(super) fn class(&self, id: ClassId) -> Option<&DirectClass> {
        self.node(id.node)?.direct.get(id.class)
    }
}

/// A relation of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NodeId(pub(super) u32);

#[derive(Debug)]
pub(super) struct TypePlan {
    /// The type's number in the store.
    pub(super) number: u32,
    /// The class of plain users and wildcards of this type, see [`Node::reached_by`].
    pub(super) class: u32,
    pub(super) relations: HashMap<Box<str>, NodeId>,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) type_index: usize,
    /// The type's and the relation's number in the store.
    pub(super) object_type: u32,
    pub(super) relation: u32,
    pub(super) relation_name: Box<str>,
    pub(super) expr: Expr,
    /// The tables the relation's own tuples may be in.
    pub(super) direct: Vec<DirectClass>,
    /// True if some `x from relation` names the relation.
    pub(super) is_tupleset: bool,
    pub(super) component: u32,
    /// True if the relation's own tuples grant it by themselves.
    pub(super) is_this_enough: bool,
    /// What to look at for a check, if nothing the node depends on has `and` or `but not`.
    pub(super) steps: Vec<Step>,
    pub(super) is_plain: bool,
    /// The tables, here and below, that may name a user, each with the user's type.
    pub(super) naming: Vec<(u32, u32)>,
    /// The nodes of which a group is made, itself among them; empty if the node is no group, see
    /// [`super::reach`].
    pub(super) group: Vec<NodeId>,
    /// How many hops a check of the node can take at most, see [`super::Limits`];
    /// [`UNBOUNDED_HOPS`] if the data decide.
    pub(super) hops: u32,
    /// Bits of the user classes from which a path leads to the node.
    pub(super) reached_by: BitSet,
    /// The nodes whose expression refers to this one, and how.
    pub(super) dependents: Vec<Dependent>,
}

/// One kind of user the relation admits.
#[derive(Debug)]
pub(super) struct DirectClass {
    pub(super) subject_type: u32,
    pub(super) subject: Subject,
    pub(super) table: u32,
    /// Tuples without a condition are admitted.
    pub(super) admits_plain: bool,
    /// The conditions admitted.
    pub(super) conditions: Vec<Box<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Object,
    Wildcard,
    Userset(NodeId),
}

#[derive(Debug)]
pub(super) enum Expr {
    This,
    Computed(NodeId),
    /// The tupleset's plain classes, each with the node asked of the objects found there.
    TupleToUserset {
        tupleset: NodeId,
        targets: Vec<(usize, NodeId)>,
    },
    Union(Vec<Self>),
    Intersection(Vec<Self>),
    Difference(Box<Self>, Box<Self>),
}

/// What a check of a plain node looks at, and what it does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The user's own tuple.
    User(ClassId),
    /// A wildcard's tuple.
    Wildcard(ClassId),
    /// Usersets; the node is what is asked of each.
    Usersets(ClassId, NodeId),
    /// Parents, which are in a class of the tupleset; the node is what is asked of each.
    Parents(ClassId, NodeId),
    /// Another relation of the object.
    Computed(NodeId),
}

/// A class of a node, see [`Node::direct`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClassId {
    pub(super) node: NodeId,
    pub(super) class: usize,
}

/// The number of hops is not bounded by the model.
pub(super) const UNBOUNDED_HOPS: u32 = u32::MAX;

/// How a node's expression refers to another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dependent {
    pub(super) node: NodeId,
    pub(super) via: Via,
    pub(super) place: Place,
}

/// Where in an expression something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Under unions only: it grants the relation by itself.
    Enough,
    /// Under `and` or the base of `but not`.
    Needed,
    /// Under the subtracted side of a `but not`.
    Subtracted,
}

impl Place {
    /// The place of an operand that stands at `self` inside something that stands here.
    pub(super) fn needed(self) -> Self {
        match self {
            Self::Enough | Self::Needed => Self::Needed,
            Self::Subtracted => Self::Subtracted,
        }
    }

    pub(super) fn subtracted(self) -> Self {
        match self {
            Self::Enough | Self::Needed => Self::Subtracted,
            Self::Subtracted => Self::Needed,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// Of the same object.
    Computed,
    /// Of the subjects of a class of this node's own tuples.
    Tuples { owner: NodeId, class: usize },
}

/// Nodes that refer to each other in a circle, or one node that does not.
#[derive(Debug)]
pub(super) struct Component {
    pub(super) kind: ComponentKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ComponentKind {
    /// One node that does not refer to itself.
    Single,
    /// A circle through unions only.
    Monotone,
    /// A circle with an operand of `and` or `but not` in it.
    Mixed,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BitSet {
    words: Vec<u64>,
}

impl BitSet {
    pub(super) fn contains(&self, bit: u32) -> bool {
        self.words.get(bit as usize / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    /// True if the bit was not there.
    pub(super) fn insert(&mut self, bit: u32) -> bool {
        let at = bit as usize / 64;
        if self.words.len() <= at {
            self.words.resize(at + 1, 0);
        }
        let is_new = !self.contains(bit);
        if let Some(word) = self.words.get_mut(at) {
            *word |= 1 << (bit % 64);
        }
        is_new
    }

    /// Keeps the bits that the other set has too.
    pub(super) fn retain(&mut self, other: &Self) {
        self.words.truncate(other.words.len());
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    /// True if the other set had bits that were not there.
    pub(super) fn extend(&mut self, other: &Self) -> bool {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        let mut has_grown = false;
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            has_grown |= *other & !*word != 0;
            *word |= other;
        }
        has_grown
    }
}
