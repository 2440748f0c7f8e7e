//! The `gantry` program: the control plane, a node, and the operator's tools, in one binary.

mod access;
mod agent;
mod bundle;
mod clean;
mod cli;
mod control;
mod delivery;
mod dialects;
mod dns;
mod files;
mod here;
mod identity;
mod kinds;
mod loading;
mod local;
mod logging;
mod node;
mod offer;
mod proxy;
mod records;
mod reviewers;
mod running;
mod server;
mod settle;
mod stop;
mod streams;
mod telemetry;
mod token;
mod trial;
mod up;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    small_pages();
    let cli = cli::Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            // One line, causes and all; where it broke in the source is of no use to an operator.
            eprintln!("error: {}", line(&error));
            ExitCode::from(cli::FAILED)
        }
    }
}

/// The allocator asks for huge pages, each of which is resident as a whole once a byte of it is touched: that doubles the
/// memory of an idle host, and what they win in speed is less than what two runs differ by. Without this it runs as well.
fn small_pages() {
    let _ = nix::sys::prctl::set_thp_disable(true);
}

fn run(cli: cli::Cli) -> anyhow::Result<ExitCode> {
    use cli::Command;
    match cli.command {
        Command::Up(up) => threaded(up.run(cli.log)),
        Command::Server(args) => threaded(up::server(*args, cli.log)),
        Command::Agent(agent) => threaded(agent.run(cli.log)),
        Command::Token(command) => threaded(command.run()),
        Command::Bundle(command) => command.run(),
        Command::Clean(clean) => threaded(clean.run(cli.log)),
        Command::Proxy(proxy) => threaded(proxy.run(cli.log)),
        Command::Completion { shell } => {
            cli::complete(shell);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn threaded(job: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(job)
}

/// An error and its causes, each said once.
fn line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.ends_with(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}
