//! What happens to the processes of a cluster and to the network between them.

use super::center::Cluster;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// `kill -9` of the service: its supervisor starts it again.
    Killed,
    /// `kill -9` of the supervisor, which takes the service with it; somebody starts it again.
    AllKilled,
    /// `kill -STOP`, and later `-CONT`.
    Stopped,
    /// Every connection to it ends.
    Cut,
    /// Nothing arrives at it, and nothing ends; later it does.
    Swallowed,
    /// All are stopped in order, and started with other numbers of workers.
    Restarted,
}

impl Trouble {
    /// The one with the highest number calls all others, and is called by nobody.
    pub(crate) fn is_of_the_network(self) -> bool {
        matches!(self, Trouble::Cut | Trouble::Swallowed)
    }

    pub(crate) fn lasts(self) -> bool {
        matches!(self, Trouble::Stopped | Trouble::Swallowed)
    }

    /// Lets it happen to `node`; `workers`: with how many of them processes are started, as an argument.
    pub(crate) fn begin(self, cluster: &mut Cluster, node: usize, workers: &mut &str) {
        match self {
            Trouble::Killed => cluster.nodes[node].signal("-KILL"),
            Trouble::AllKilled => {
                cluster.nodes[node].kill();
                cluster.nodes[node].start(&["--workers", *workers]);
            }
            Trouble::Stopped => cluster.nodes[node].signal("-STOP"),
            Trouble::Cut => cluster.proxies[node].cut(),
            Trouble::Swallowed => cluster.proxies[node].swallow(),
            Trouble::Restarted => {
                cluster.stop();
                *workers = if *workers == "1" { "2" } else { "1" };
                cluster.start(&["--workers", *workers]);
            }
        }
    }

    /// Ends what lasts.
    pub(crate) fn relent(self, cluster: &Cluster, node: usize) {
        match self {
            Trouble::Stopped => cluster.nodes[node].signal("-CONT"),
            Trouble::Swallowed => cluster.proxies[node].heal(),
            Trouble::Killed | Trouble::AllKilled | Trouble::Cut | Trouble::Restarted => {}
        }
    }
}
