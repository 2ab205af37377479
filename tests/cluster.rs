//! Clusters of real processes on loopback: what they show is what one process would, whatever happens to them.
//!
//! ```text
//! HIGHWATER_CLUSTER_SEEDS=0..300 cargo test --test highwater cluster
//! ```
//!
//! How long clusters take to come back is measured by `examples/cluster`.

mod center;
pub(crate) mod certificates;
mod checkpoints;
mod faults;
mod namespaces;
mod node;
mod proxy;
mod rescale;
mod retention;
mod strangers;
mod tls;
mod together;
mod trouble;
mod waiting;
