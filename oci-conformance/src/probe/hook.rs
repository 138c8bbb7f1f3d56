//! The probe as a hook: `probe hook LOG NAME [fail|slow|stat:PATH…]` appends what it was given and where it ran to LOG.

use super::process::namespaces;
use serde_json::{Value, json};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

/// Records the hook's circumstances; returns 9 for `fail`, outlives any sane timeout for `slow`.
pub fn main(words: &[String]) -> i32 {
    let [log, name, rest @ ..] = words else {
        return 123;
    };
    let state = io::read_to_string(io::stdin());
    let state: Value = state.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
    let record = record(name, &state, rest);
    if let Err(error) = append(log, &record) {
        eprintln!("{log}: {error}");
        return 124;
    }
    match rest.first().map(String::as_str) {
        Some("fail") => 9,
        Some("slow") => {
            std::thread::sleep(std::time::Duration::from_secs(30));
            0
        }
        _ => 0,
    }
}

fn record(name: &str, state: &Value, words: &[String]) -> Value {
    let seen = |path: String| fs::read(path).map(|b| String::from_utf8_lossy(&b).replace('\0', " ")).ok();
    let pid = state["pid"].as_i64().unwrap_or(0);
    let paths = words.iter().filter_map(|w| w.strip_prefix("stat:"));
    json!({
        "name": name,
        "state": state,
        "ns": namespaces(),
        "env": std::env::vars_os().map(|(k, v)| format!("{}={}", k.display(), v.display())).collect::<Vec<_>>(),
        "args": std::env::args().collect::<Vec<_>>(),
        "cwd": std::env::current_dir().map(|p| p.to_string_lossy().into_owned()).ok(),
        "payload": seen(format!("/proc/{pid}/cmdline")),
        "payload_ns": fs::read_link(format!("/proc/{pid}/ns/mnt")).map(|p| p.to_string_lossy().into_owned()).ok(),
        "exists": paths.map(|p| (p.to_owned(), json!(fs::symlink_metadata(p).is_ok()))).collect::<serde_json::Map<_, _>>(),
    })
}

fn append(log: &str, record: &Value) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().append(true).create(true).mode(0o666).open(log)?;
    file.write_all(format!("{record}\n").as_bytes())
}
