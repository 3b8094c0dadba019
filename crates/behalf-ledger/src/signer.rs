//! The one place that signs. It remembers what it signed last and demands proof that the next tree
//! begins with it, so that no defect above it can make the log sign two histories.

use behalf_verify::checkpoint::Checkpoint;
use behalf_verify::merkle::{Hash, verify_consistency};
use behalf_verify::note::{Note, NoteSigner};

use crate::error::LedgerError;

/// A log's key and its last word.
#[derive(Debug)]
pub(crate) struct LogSigner {
    key: NoteSigner,
    origin: String,
    size: u64,
    root: Hash,
}

impl LogSigner {
    /// The signer of a log that last signed the tree of `size` leaves with `root`.
    pub(crate) const fn new(key: NoteSigner, origin: String, size: u64, root: Hash) -> Self {
        Self { key, origin, size, root }
    }

    /// How many leaves the tree had that was signed last.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Signs the tree of `size` leaves with `root`, which `proof` shows to begin with the last one.
    ///
    /// # Errors
    /// `Fault` when it does not begin with it.
    pub(crate) fn sign(
        &mut self,
        size: u64,
        root: Hash,
        proof: &[Hash],
    ) -> Result<Note, LedgerError> {
        verify_consistency(self.size, size, proof, &self.root, &root).map_err(|error| {
            LedgerError::fault(format!("the tree does not begin with what was signed: {error}"))
        })?;
        let note = sign(&self.key, &self.origin, size, root)?;
        (self.size, self.root) = (size, root);
        Ok(note)
    }
}

/// The first signature of a log: of the tree without leaves.
pub(crate) fn sign(
    key: &NoteSigner,
    origin: &str,
    size: u64,
    root: Hash,
) -> Result<Note, LedgerError> {
    let text =
        Checkpoint { origin: origin.to_owned(), size, root, extensions: Vec::new() }.to_string();
    let signature = key.sign(&text).map_err(LedgerError::key)?;
    Note::new(&text, vec![signature]).map_err(LedgerError::key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use behalf_verify::merkle::{MemoryTree, consistency_proof, empty_root, leaf_hash};
    use behalf_verify::note::KeyKind;

    #[test]
    fn a_tree_that_does_not_begin_with_the_last_one_is_not_signed() {
        let key = NoteSigner::from_seed("log.example/a", KeyKind::Ed25519, &[7; 32]).unwrap();
        let mut signer = LogSigner::new(key, "log.example/a".to_owned(), 0, empty_root());
        let tree: MemoryTree = [b"a", b"b", b"c"].iter().map(|e| leaf_hash(*e)).collect();
        signer.sign(3, tree.root(), &[]).unwrap();

        let mut grown = tree.clone();
        grown.push(leaf_hash(b"d"));
        let proof = consistency_proof(&grown, 3, 4).unwrap().unwrap();
        let forged: MemoryTree = [b"a", b"x", b"c", b"d"].iter().map(|e| leaf_hash(*e)).collect();
        let forged_proof = consistency_proof(&forged, 3, 4).unwrap().unwrap();
        assert!(matches!(signer.sign(4, forged.root(), &forged_proof), Err(LedgerError::Fault(_))));
        assert!(matches!(signer.sign(4, forged.root(), &proof), Err(LedgerError::Fault(_))));
        signer.sign(4, grown.root(), &proof).unwrap();
        // An old back-up that was put back grows another way.
        assert!(matches!(signer.sign(3, tree.root(), &[]), Err(LedgerError::Fault(_))));
    }
}
