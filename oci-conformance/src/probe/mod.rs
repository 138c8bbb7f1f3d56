//! The static probe: this binary under the name `probe`, run inside containers, as a hook and as a holder of namespaces.
//! Each argument is an action `verb:operands`; each result is one JSON line `{"at": action, "is": result}` on stdout,
//! written at once, so that what was seen before a fatal action survives it.

mod call;
mod files;
mod hook;
mod process;

pub use process::namespaces;
use serde_json::{Value, json};
use std::io::Write;

/// Performs `arguments` (without argv[0]) and returns the exit status.
pub fn main(arguments: &[String]) -> i32 {
    match arguments.first().map(String::as_str) {
        Some("hook") => return hook::main(&arguments[1..]),
        Some("keep") => return process::keep(&arguments[1..]),
        Some("block") => return process::block(),
        Some("within") => return process::within(&arguments[1..]),
        _ => {}
    }
    for action in arguments {
        let (verb, operands) = action.split_once(':').unwrap_or((action, ""));
        match verb {
            "exit" => return operands.parse().unwrap_or(120),
            "hold" => {
                emit("ready", &Value::Null);
                process::hold();
            }
            "await" => {
                if let Err(error) = process::await_signal(|| emit("ready", &Value::Null)).map(|signal| emit(action, &json!(signal))) {
                    emit(action, &failure(&error));
                }
            }
            _ => emit(action, &act(verb, operands)),
        }
    }
    0
}

fn act(verb: &str, operands: &str) -> Value {
    files::act(verb, operands)
        .or_else(|| process::act(verb, operands))
        .or_else(|| call::act(verb, operands))
        .unwrap_or_else(|| json!({"unknown": verb}))
}

fn emit(action: &str, result: &Value) {
    let line = format!("{}\n", json!({"at": action, "is": result}));
    let mut stdout = std::io::stdout();
    if stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).is_err() {
        // Without stdout there is nobody left to tell; the exit status still says it.
        std::process::exit(121);
    }
}

/// An operation's outcome as JSON: `{"errno": N}` or `{"ok": value}`.
fn outcome<T: Into<Value>>(result: std::io::Result<T>) -> Value {
    match result {
        Ok(value) => json!({"ok": value.into()}),
        Err(error) => failure(&error),
    }
}

fn failure(error: &std::io::Error) -> Value {
    json!({"errno": error.raw_os_error().unwrap_or(-1)})
}
