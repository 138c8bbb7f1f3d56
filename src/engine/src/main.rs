//! `gantryd`: the engine's process.

use std::process::ExitCode;

use clap::Parser;
use gantry_engine::options::{Flags, Options};

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(gantry_network::server::VERB) {
        return network_server();
    }
    let flags = Flags::parse();
    let validate = flags.validate;
    let settled = Options::settle(flags);
    let result = match settled {
        Ok(_) if validate => {
            println!("configuration OK");
            return ExitCode::SUCCESS;
        }
        Ok(options) => run(options),
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gantryd: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The process that answers names and forwards local ports, started by an engine.
fn network_server() -> ExitCode {
    match gantry_network::server::serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gantryd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> gantry_engine::error::Result<()> {
    gantry_engine::log::start(options.debug);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(1 << 20)
        // Idle threads of the blocking pool keep pages: most bursts are over within a second.
        .thread_keep_alive(std::time::Duration::from_secs(2))
        .enable_all()
        .build()
        .map_err(|e| gantry_engine::error::Error::kernel("threads", e))?;
    let result = runtime.block_on(gantry_engine::serve::run(options));
    // Blocking threads may follow logs of living containers: they must not hold the end up.
    runtime.shutdown_background();
    result
}
