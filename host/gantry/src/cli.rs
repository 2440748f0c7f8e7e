//! The command line.

use std::io;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::agent::AgentArgs;
use crate::bundle::BundleCommand;
use crate::clean::Clean;
use crate::proxy::ProxyArgs;
use crate::server::ServerArgs;
use crate::token::TokenCommand;
use crate::up::Up;

/// Exit code of a command that failed. Wrong usage is 2, as clap has it.
pub const FAILED: u8 = 1;

/// A container control plane whose behaviour comes from WebAssembly plugins.
#[derive(Parser)]
#[command(name = "gantry", version, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub log: Log,
    #[command(subcommand)]
    pub command: Command,
}

/// What is logged, and how.
#[derive(Args, Clone, Debug)]
pub struct Log {
    /// What to log: a level, or directives such as `info,gantry_node=debug`.
    #[arg(long, global = true, env = "GANTRY_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
    /// How log lines look.
    #[arg(long, global = true, env = "GANTRY_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    /// For people; colours only on terminals.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run a control plane and a node in one process.
    ///
    /// Everything is kept in one data directory. Stopping it (Ctrl-C or SIGTERM) leaves containers running: the next
    /// `gantry up` takes them over.
    #[command(after_help = UP_EXAMPLES)]
    Up(Box<Up>),
    /// Run a control plane, to which agents on other machines link up.
    ///
    /// It is `gantry up` without a node. Agents reach it at the address of its API and need no other port. Stopping it
    /// leaves the nodes' containers running.
    #[command(after_help = SERVER_EXAMPLES)]
    Server(Box<ServerArgs>),
    /// Run a node of a control plane that runs elsewhere.
    ///
    /// With a token (`gantry token create`) the machine joins: it gets a certificate of its own, which it renews by itself.
    /// The token is needed only once. The agent dials the server, so it works behind NAT; logs and exec come back on that
    /// connection. It gets its plugins from the server and keeps them. While the server is away, containers go on and are restarted as their pods say.
    /// Stopping the agent (Ctrl-C or SIGTERM) leaves containers running: the next one takes them over.
    #[command(after_help = AGENT_EXAMPLES)]
    Agent(Box<AgentArgs>),
    /// Make, list and revoke the tokens with which machines join as nodes.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Check a bundle of plugins, or pin it to the components that there are.
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// Remove what a stopped `gantry up` or `gantry agent` left on this machine: containers, links, rules, its proxy. Objects
    /// stay.
    Clean(Clean),
    /// Answer HTTP on a node: what its agent starts, and what goes on while the agent is away.
    #[command(hide = true)]
    Proxy(ProxyArgs),
    /// Print a completion script: `source <(gantry completion bash)`.
    Completion { shell: clap_complete::Shell },
}

const UP_EXAMPLES: &str = "Examples:
  gantry up --bundle kubernetes.toml --plugins ./plugins
  gantry up --bundle kubernetes.toml --plugins ./plugins --no-node --hollow-nodes 1000
  kubectl --kubeconfig gantry-data/kubeconfig get nodes";

const SERVER_EXAMPLES: &str = "Examples:
  gantry server --bundle kubernetes.toml --plugins ./plugins --listen 0.0.0.0:6443 --tls-name api.example.com
  kubectl --kubeconfig gantry-data/kubeconfig get nodes

Exit codes: 0 stopped as told, 1 failed, 2 wrong usage";

const AGENT_EXAMPLES: &str = "Examples:
  gantry agent --server https://api.example.com:6443 --token node.token     joins
  gantry agent                                                              comes back
  gantry clean --data-dir gantry-agent      what a stopped agent left on the machine

Exit codes: 0 stopped as told, 1 failed, 2 wrong usage";

/// Prints a completion script.
pub fn complete(shell: clap_complete::Shell) {
    clap_complete::generate(shell, &mut Cli::command(), "gantry", &mut io::stdout());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
