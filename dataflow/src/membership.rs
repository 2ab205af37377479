//! One graph over several processes: who they are, and the connections between them.
//!
//! The connections are made by the program, which knows whom it may trust; the engine only moves bytes over them.

use std::any::Any;
use std::io;
use std::sync::Arc;

use timely::communication::Hooks;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};

pub use timely::communication::allocator::zero_copy::stream::Stream as Link;

use crate::pulse::Word;
use crate::refusals::Journals;
use crate::time::Epoch;
use crate::worker::Peers;

/// The processes that run one graph together, as seen from one of them.
pub struct Membership<L> {
    /// Which of them this is; process 0 gets the commits.
    pub process: usize,
    /// A connection to every other process, by number; `None` at our own.
    pub links: Vec<Option<L>>,
    /// Epochs up to here may be in some process's journal; every later one is new.
    pub started_after: Epoch,
    /// Told of each epoch that some process has sent (this one included), on a worker's thread: it must not block.
    /// The epoch is closed only when this process has passed it too.
    pub heard: Arc<dyn Fn(Epoch) + Send + Sync>,
    /// Told, in the same way, of each word of any process (this one included). A word may be lost, or come again.
    pub told: Arc<dyn Fn(Word) + Send + Sync>,
    pub journals: Journals,
}

impl<L: Link + 'static> Membership<L> {
    /// Starts the threads that move bytes, and gives what the workers are made of.
    pub(crate) fn connect(
        self,
        workers: usize,
    ) -> io::Result<(Vec<AllocatorBuilder>, Box<dyn Any + Send>, Peers)> {
        let Membership { process, links, started_after, heard, told, journals } = self;
        assert!(links.get(process).is_some_and(Option::is_none), "no process connects to itself");
        let hooks = Hooks::default();
        let threads =
            ProcessBuilder::new_typed_vector(workers, hooks.refill.clone(), hooks.spill.clone());
        let (builders, guard) =
            initialize_networking_from_sockets(threads, links, process, workers, hooks)?;
        let builders = builders.into_iter().map(AllocatorBuilder::Tcp).collect();
        let peers = Peers { started_after, heard, told, journals, workers };
        Ok((builders, Box::new(guard), peers))
    }
}
