//! Expand: what a relation of an object is made of.

use behalf_authz::AuthzError;
use behalf_authz::engine::{ComputedLeaf, Leaf, RequestContext, TreeNode, TreeValue};

use crate::fga::call::{Answer, Call, Stamp};
use crate::fga::convert::contextual_of;
use crate::fga::error::FgaError;
use crate::fga::rules::In;
use crate::fga::wire::openfga_v1 as pb;
use pb::userset_tree as tree;

impl Call {
    pub(in crate::fga) async fn expand(
        &self,
        request: pb::ExpandRequest,
    ) -> Result<Answer<pb::ExpandResponse>, FgaError> {
        let is = In("ExpandRequest");
        is.store_id(&request.store_id)?;
        let key = is.required("TupleKey", request.tuple_key)?;
        let of_key = In("ExpandRequestTupleKey");
        is.nested("TupleKey", of_key.optional_relation(&key.relation))?;
        is.nested("TupleKey", of_key.optional_object(&key.object))?;
        is.model_id(&request.authorization_model_id)?;
        is.consistency(request.consistency)?;
        is.contextual(request.contextual_tuples.as_ref())?;
        if key.relation.is_empty() || key.object.is_empty() {
            let text = "Invalid input. Make sure you provide an object and a relation";
            return Err(FgaError::new(2010, text));
        }
        let contextual = contextual_of(request.contextual_tuples);
        let at = self.at(&request.store_id, &request.authorization_model_id).await?;
        let asked = RequestContext { contextual_tuples: &contextual, ..RequestContext::default() };
        let expanded = at.expand(&key.object, &key.relation, asked).map_err(AuthzError::from)?;
        let tree = pb::UsersetTree { root: Some(node(expanded.root)) };
        let stamp = Stamp::of(request.store_id, &at);
        Ok(Answer::new(pb::ExpandResponse { tree: Some(tree) }, stamp))
    }
}

fn node(of: TreeNode) -> tree::Node {
    let all = |nodes: Vec<TreeNode>| tree::Nodes { nodes: nodes.into_iter().map(node).collect() };
    let value = match of.value {
        TreeValue::Leaf(of) => tree::node::Value::Leaf(leaf(of)),
        TreeValue::Union { nodes } => tree::node::Value::Union(all(nodes)),
        TreeValue::Intersection { nodes } => tree::node::Value::Intersection(all(nodes)),
        TreeValue::Difference { base, subtract } => {
            tree::node::Value::Difference(Box::new(tree::Difference {
                base: Some(Box::new(node(*base))),
                subtract: Some(Box::new(node(*subtract))),
            }))
        }
    };
    tree::Node { name: of.name, value: Some(value) }
}

fn leaf(of: Leaf) -> tree::Leaf {
    let computed = |computed: ComputedLeaf| tree::Computed { userset: computed.userset };
    let value = match of {
        Leaf::Users { users } => tree::leaf::Value::Users(tree::Users { users }),
        Leaf::Computed(of) => tree::leaf::Value::Computed(computed(of)),
        Leaf::TupleToUserset { tupleset, computed: of } => {
            let computed = of.into_iter().map(computed).collect();
            tree::leaf::Value::TupleToUserset(tree::TupleToUserset { tupleset, computed })
        }
    };
    tree::Leaf { value: Some(value) }
}
