//! `linux.seccomp` as the runtime specification defines it (config-linux.md, "Seccomp"), read from the raw JSON and with
//! every name turned into its number. Pure; every refusal names the field by its path in config.json.

use std::fmt::Display;

use serde::Deserialize;
use sys::seccomp as kernel;

use super::abi::Architecture;
use crate::error::{Error, Result};

/// The answer a filter gives, as the kernel's 32-bit return value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Verdict(pub(super) u32);

impl Verdict {
    pub(super) const KILL_THREAD: Self = Self(0);
    pub(super) const NOTIFY: Self = Self(0x7fc0_0000);
    pub(super) const LOG: Self = Self(0x7ffc_0000);
    pub(super) const ALLOW: Self = Self(0x7fff_0000);
    pub(super) const ENOSYS: Self = Self::errno(38);

    pub(super) const fn errno(number: u16) -> Self {
        Self(0x0005_0000 | number as u32)
    }

    /// Whether the system call is carried out.
    pub(super) fn lets_through(self) -> bool {
        self == Self::ALLOW || self == Self::LOG
    }
}

/// A comparison of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Operator {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    MaskedEqual,
}

/// `args[index] operator value`, all 64 bits of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Condition {
    pub index: u8,
    pub operator: Operator,
    /// The value compared with, or the mask.
    pub value: u64,
    /// What the masked argument is compared with.
    pub value_two: u64,
}

/// One entry of `syscalls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub names: Vec<String>,
    pub verdict: Verdict,
    pub conditions: Vec<Condition>,
}

/// Who is told of system calls with the action NOTIFY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Path of the unix socket.
    pub path: String,
    /// Text handed on with the descriptor.
    pub metadata: String,
}

/// A seccomp profile with no question left open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub(super) default: Verdict,
    pub(super) architectures: Vec<Architecture>,
    pub(super) rules: Vec<Rule>,
    pub(super) flags: Option<u32>,
    pub(super) listener: Option<Listener>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    default_action: String,
    default_errno_ret: Option<u64>,
    architectures: Option<Vec<String>>,
    flags: Option<Vec<String>>,
    listener_path: Option<String>,
    listener_metadata: Option<String>,
    syscalls: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u64>,
    args: Option<Vec<Argument>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u64,
    value: u64,
    value_two: Option<u64>,
    op: String,
}

impl Profile {
    /// Reads the profile. `receiver` is a socket that takes notifications where the profile names none (crun's annotation
    /// `run.oci.seccomp.receiver`).
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] with the path of the field below `linux.seccomp`.
    pub fn parse(json: &str, receiver: Option<&str>) -> Result<Self> {
        let document: Document = serde_json::from_str(json).map_err(|e| refuse("", &e))?;
        let default = verdict(
            &document.default_action,
            document.default_errno_ret,
            "defaultAction",
            "defaultErrnoRet",
        )?;
        if default == Verdict::NOTIFY {
            return Err(refuse(
                "defaultAction",
                &"SCMP_ACT_NOTIFY cannot be used as default action (accepted: any other action)",
            ));
        }
        let architectures = each(document.architectures, |at, name| {
            Architecture::named(&name).ok_or_else(|| refuse(&format!("architectures[{at}]"), &format!("unknown architecture {name:?} (accepted: SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32 and libseccomp's names of others)")))
        })?;
        let rules = each(document.syscalls, rule)?;
        let flags = document
            .flags
            .map(|flags| each(Some(flags), |at, name| flag(at, &name)))
            .transpose()?;
        let flags = flags.map(|flags| flags.into_iter().fold(0, |all, flag| all | flag));
        let notifies = rules.iter().any(|rule| rule.verdict == Verdict::NOTIFY);
        let listener = listener(
            document.listener_path,
            document.listener_metadata,
            receiver,
            notifies,
        )?;
        Ok(Self {
            default,
            architectures,
            rules,
            flags,
            listener,
        })
    }
}

fn refuse(field: &str, reason: &dyn Display) -> Error {
    let dot = if field.is_empty() { "" } else { "." };
    Error::config(format!("linux.seccomp{dot}{field}"), reason.to_string())
}

fn each<I, O>(list: Option<Vec<I>>, mut read: impl FnMut(usize, I) -> Result<O>) -> Result<Vec<O>> {
    list.unwrap_or_default()
        .into_iter()
        .enumerate()
        .map(|(at, item)| read(at, item))
        .collect()
}

fn listener(
    path: Option<String>,
    metadata: Option<String>,
    receiver: Option<&str>,
    notifies: bool,
) -> Result<Option<Listener>> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (path, metadata) = (given(path), given(metadata));
    if path.is_none() && metadata.is_some() {
        return Err(refuse(
            "listenerMetadata",
            &"cannot be used without listenerPath",
        ));
    }
    if !notifies {
        return Ok(None);
    }
    let Some(path) = path.or_else(|| receiver.map(str::to_owned)) else {
        return Err(refuse(
            "listenerPath",
            &"missing, although a rule has the action SCMP_ACT_NOTIFY (accepted: the path of a unix socket)",
        ));
    };
    Ok(Some(Listener {
        path,
        metadata: metadata.unwrap_or_default(),
    }))
}

fn rule(at: usize, entry: Entry) -> Result<Rule> {
    let field = |name: &str| format!("syscalls[{at}].{name}");
    let verdict = verdict(
        &entry.action,
        entry.errno_ret,
        &field("action"),
        &field("errnoRet"),
    )?;
    let names = entry.names.unwrap_or_default();
    if names.is_empty() {
        return Err(refuse(
            &field("names"),
            &"empty (accepted: at least one system call)",
        ));
    }
    // init reports the listener by a write; were that notified, nobody could answer yet.
    if verdict == Verdict::NOTIFY && names.iter().any(|name| name == "write") {
        return Err(refuse(
            &field("action"),
            &"SCMP_ACT_NOTIFY cannot be used for the write syscall",
        ));
    }
    let conditions = each(entry.args, |arg, argument| {
        condition(&field(&format!("args[{arg}]")), &argument)
    })?;
    Ok(Rule {
        names,
        verdict,
        conditions,
    })
}

fn condition(field: &str, argument: &Argument) -> Result<Condition> {
    let operator = match argument.op.as_str() {
        "SCMP_CMP_NE" => Operator::NotEqual,
        "SCMP_CMP_LT" => Operator::Less,
        "SCMP_CMP_LE" => Operator::LessOrEqual,
        "SCMP_CMP_EQ" => Operator::Equal,
        "SCMP_CMP_GE" => Operator::GreaterOrEqual,
        "SCMP_CMP_GT" => Operator::Greater,
        "SCMP_CMP_MASKED_EQ" => Operator::MaskedEqual,
        other => {
            let accepted = "accepted: SCMP_CMP_ with NE, LT, LE, EQ, GE, GT or MASKED_EQ";
            return Err(refuse(
                &format!("{field}.op"),
                &format!("unknown operator {other:?} ({accepted})"),
            ));
        }
    };
    let index = u8::try_from(argument.index).ok().filter(|&index| index < 6);
    let index = index.ok_or_else(|| {
        refuse(
            &format!("{field}.index"),
            &format!("{} (accepted: 0 to 5)", argument.index),
        )
    })?;
    Ok(Condition {
        index,
        operator,
        value: argument.value,
        value_two: argument.value_two.unwrap_or(0),
    })
}

fn verdict(
    action: &str,
    errno: Option<u64>,
    action_field: &str,
    errno_field: &str,
) -> Result<Verdict> {
    let base = match action {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Verdict::KILL_THREAD,
        "SCMP_ACT_KILL_PROCESS" => Verdict(0x8000_0000),
        "SCMP_ACT_TRAP" => Verdict(0x0003_0000),
        "SCMP_ACT_LOG" => Verdict::LOG,
        "SCMP_ACT_ALLOW" => Verdict::ALLOW,
        "SCMP_ACT_NOTIFY" => Verdict::NOTIFY,
        "SCMP_ACT_ERRNO" => return Ok(Verdict(0x0005_0000 | data(errno, 4095, errno_field)?)),
        "SCMP_ACT_TRACE" => return Ok(Verdict(0x7ff0_0000 | data(errno, 65_535, errno_field)?)),
        other => {
            let accepted = "accepted: SCMP_ACT_ with KILL, KILL_THREAD, KILL_PROCESS, TRAP, ERRNO, TRACE, ALLOW, LOG or NOTIFY";
            return Err(refuse(
                action_field,
                &format!("unknown action {other:?} ({accepted})"),
            ));
        }
    };
    if errno.is_some() {
        return Err(refuse(
            errno_field,
            &format!(
                "{action} returns no errno (accepted: with SCMP_ACT_ERRNO and SCMP_ACT_TRACE)"
            ),
        ));
    }
    Ok(base)
}

/// The low half of the verdict; EPERM where nothing is said.
fn data(errno: Option<u64>, most: u32, field: &str) -> Result<u32> {
    match errno.map(u32::try_from) {
        None => Ok(1),
        Some(Ok(number)) if number <= most => Ok(number),
        _ => Err(refuse(
            field,
            &format!("{} (accepted: 0 to {most})", errno.unwrap_or_default()),
        )),
    }
}

fn flag(at: usize, name: &str) -> Result<u32> {
    match name {
        "SECCOMP_FILTER_FLAG_TSYNC" => Ok(kernel::TSYNC),
        "SECCOMP_FILTER_FLAG_LOG" => Ok(kernel::LOG),
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => Ok(kernel::SPEC_ALLOW),
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => Ok(kernel::WAIT_KILLABLE_RECV),
        _ => {
            let accepted =
                "accepted: SECCOMP_FILTER_FLAG_ with TSYNC, LOG, SPEC_ALLOW or WAIT_KILLABLE_RECV";
            Err(refuse(
                &format!("flags[{at}]"),
                &format!("unknown flag {name:?} ({accepted})"),
            ))
        }
    }
}
