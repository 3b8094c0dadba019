//! Events sequenced into leaves of a Merkle log; checkpoints, receipts and export bundles.
