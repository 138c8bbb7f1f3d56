//! `RUN --mount=…`.

use crate::error::Fault;

/// What a mount of RUN is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountKind {
    /// Files of the context, a stage or an image.
    Bind,
    /// A directory kept between builds.
    Cache,
    /// Memory.
    Tmpfs,
    /// A secret of the build.
    Secret,
    /// The builder's ssh agent.
    Ssh,
}

/// How builds at the same time share a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// All write to one.
    #[default]
    Shared,
    /// Each has its own.
    Private,
    /// One waits for the other.
    Locked,
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What it is.
    pub kind: MountKind,
    /// `from`: stage, image or named context.
    pub from: Option<String>,
    /// `source`: a path within `from` or the context.
    pub source: Option<String>,
    /// `target`: where it is seen.
    pub target: Option<String>,
    /// Whether the step may not write to it.
    pub read_only: bool,
    /// `size` of a tmpfs in bytes.
    pub size: Option<u64>,
    /// `id` of a cache, secret or agent.
    pub id: Option<String>,
    /// `sharing` of a cache.
    pub sharing: Sharing,
    /// `required`: without the secret or agent the step fails.
    pub required: bool,
    /// `env` of a secret: it is (also) handed as this variable.
    pub env: Option<String>,
    /// `mode`.
    pub mode: Option<u32>,
    /// `uid`.
    pub uid: Option<u32>,
    /// `gid`.
    pub gid: Option<u32>,
}

const KEYS: &[&str] = &[
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "required",
    "size",
    "id",
    "sharing",
    "mode",
    "uid",
    "gid",
    "env",
];

/// What was written, before the kind decides what is allowed.
#[derive(Default)]
struct Written {
    kind: Option<MountKind>,
    sharing: Option<Sharing>,
    read_only: Option<bool>,
    required: Option<bool>,
    size: Option<u64>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    texts: Vec<(&'static str, String)>,
}

impl Mount {
    /// Reads `type=cache,target=/x,…` (fields may be quoted as in CSV), variables replaced by `expand`.
    ///
    /// # Errors
    /// An unknown key (with the nearest known one), a value of the wrong form, a key the type does not take.
    pub fn parse(
        text: &str,
        expand: &mut impl FnMut(&str) -> Result<String, Fault>,
    ) -> Result<Self, Fault> {
        let mut written = Written::default();
        for field in fields(text)? {
            let (key, value) = match field.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (field.as_str(), None),
            };
            let key = key.to_ascii_lowercase();
            if key == "from" && value.is_some_and(|v| v.trim_end_matches('$').contains('$')) {
                return Err(
                    "'from' doesn't support variable expansion, define alias stage instead".into(),
                );
            }
            let value = value.map(&mut *expand).transpose()?;
            written.take(&key, value, &field)?;
        }
        written.finish()
    }
}

impl Written {
    fn take(&mut self, key: &str, value: Option<String>, field: &str) -> Result<(), Fault> {
        let Some(value) = value else {
            match key {
                "readonly" | "ro" => self.read_only = Some(true),
                "readwrite" | "rw" => self.read_only = Some(false),
                "required" => self.required = Some(true),
                _ => return Err(format!("invalid field '{field}' must be a key=value pair").into()),
            }
            return Ok(());
        };
        match key {
            "type" => self.kind = Some(kind(&value)?),
            "sharing" => self.sharing = Some(sharing(&value)?),
            "readonly" | "ro" => self.read_only = Some(boolean(key, &value)?),
            "readwrite" | "rw" => self.read_only = Some(!boolean(key, &value)?),
            "required" => self.required = Some(boolean(key, &value)?),
            "size" => self.size = Some(size(&value)?),
            "mode" => self.mode = Some(number(key, &value, 8)?),
            "uid" => self.uid = Some(number(key, &value, 10)?),
            "gid" => self.gid = Some(number(key, &value, 10)?),
            "from" => self.texts.push(("from", value)),
            "source" | "src" => self.texts.push(("source", value)),
            "target" | "dst" | "destination" => self.texts.push(("target", value)),
            "id" => self.texts.push(("id", value)),
            "env" => self.texts.push(("env", value)),
            _ => {
                return Err(Fault::near(
                    format!("unexpected key '{key}' in '{field}'"),
                    key,
                    KEYS,
                ));
            }
        }
        Ok(())
    }

    fn text(&self, key: &str) -> Option<String> {
        let found = self.texts.iter().rev().find(|(known, _)| *known == key);
        found
            .map(|(_, value)| value.clone())
            .filter(|value| !value.is_empty())
    }

    fn finish(self) -> Result<Mount, Fault> {
        let kind = self.kind.unwrap_or(MountKind::Bind);
        self.refuse_foreign_keys(kind)?;
        let (from, source, target, id) = (
            self.text("from"),
            self.text("source"),
            self.text("target"),
            self.text("id"),
        );
        if kind == MountKind::Secret {
            if source.is_none() && target.is_none() && id.is_none() {
                return Err("invalid secret mount. one of source, target required".into());
            }
            if source.is_some() && id.is_some() {
                return Err("both source and id can't be set".into());
            }
        }
        let writable = matches!(kind, MountKind::Cache | MountKind::Tmpfs);
        Ok(Mount {
            kind,
            from,
            source,
            target,
            read_only: self.read_only.unwrap_or(!writable),
            size: self.size,
            id,
            sharing: self.sharing.unwrap_or_default(),
            required: self.required.unwrap_or(false),
            env: self.text("env"),
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
        })
    }

    /// Each kind takes some keys; the others are refused by name.
    fn refuse_foreign_keys(&self, kind: MountKind) -> Result<(), Fault> {
        let name = kind.name();
        let owned = matches!(kind, MountKind::Secret | MountKind::Ssh | MountKind::Cache);
        for (key, given) in [("mode", self.mode), ("uid", self.uid), ("gid", self.gid)] {
            if given.is_some() && !owned {
                return Err(format!("{key} not allowed for \"{name}\" type mounts").into());
            }
        }
        let handed = matches!(kind, MountKind::Secret | MountKind::Ssh);
        if self.required.is_some() && !handed {
            return Err(format!("unexpected key 'required' for mount type '{name}'").into());
        }
        if self.size.is_some() && kind != MountKind::Tmpfs {
            return Err(format!("unexpected key 'size' for mount type '{name}'").into());
        }
        if self.sharing.is_some() && kind != MountKind::Cache {
            return Err(format!("invalid cache sharing set for {name} mount").into());
        }
        if self.text("from").is_some() && kind == MountKind::Secret {
            return Err("secret mount should not have a from".into());
        }
        Ok(())
    }
}

impl MountKind {
    /// The word of `type=`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        }
    }
}

fn kind(value: &str) -> Result<MountKind, Fault> {
    match value.to_ascii_lowercase().as_str() {
        "bind" => Ok(MountKind::Bind),
        "cache" => Ok(MountKind::Cache),
        "tmpfs" => Ok(MountKind::Tmpfs),
        "secret" => Ok(MountKind::Secret),
        "ssh" => Ok(MountKind::Ssh),
        _ => Err(Fault::near(
            format!("unsupported mount type {value:?}"),
            value,
            &["bind", "cache", "tmpfs", "secret", "ssh"],
        )),
    }
}

fn sharing(value: &str) -> Result<Sharing, Fault> {
    match value.to_ascii_lowercase().as_str() {
        "shared" => Ok(Sharing::Shared),
        "private" => Ok(Sharing::Private),
        "locked" => Ok(Sharing::Locked),
        _ => Err(Fault::near(
            format!("unsupported sharing value {value:?}"),
            value,
            &["shared", "private", "locked"],
        )),
    }
}

fn boolean(key: &str, value: &str) -> Result<bool, Fault> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("invalid value for {key}: {value}").into()),
    }
}

fn number(key: &str, value: &str, radix: u32) -> Result<u32, Fault> {
    u32::from_str_radix(value, radix).map_err(|_| format!("invalid value {value} for {key}").into())
}

/// Bytes with a suffix `b`, `k`, `m`, `g` or `t` (also `kb`, `kib`), powers of 1024.
fn size(value: &str) -> Result<u64, Fault> {
    let invalid = || Fault::from(format!("invalid value for size: {value}"));
    let lower = value.trim().to_ascii_lowercase();
    let end = lower
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(lower.len());
    let (digits, unit) = lower.split_at(end);
    let power = match unit.trim_end_matches('b').trim_end_matches('i').trim() {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(invalid()),
    };
    let number: u64 = digits.parse().map_err(|_| invalid())?;
    number.checked_mul(1024_u64.pow(power)).ok_or_else(invalid)
}

/// The fields of one CSV record: `"` around a field protects commas, `""` in it is one quote.
fn fields(text: &str) -> Result<Vec<String>, Fault> {
    let mut fields = vec![String::new()];
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        let Some(field) = fields.last_mut() else {
            break;
        };
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => fields.push(String::new()),
            _ => field.push(c),
        }
    }
    if quoted {
        return Err(format!("mount {text:?}: a quote is not closed").into());
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Mount, String> {
        Mount::parse(text, &mut |value| Ok(value.to_owned())).map_err(|fault| fault.to_string())
    }

    #[test]
    fn kinds_and_their_defaults() {
        let bind = parse("target=/x,from=base,source=/y").unwrap();
        assert_eq!(
            (bind.kind, bind.read_only, bind.from.as_deref()),
            (MountKind::Bind, true, Some("base"))
        );
        let cache = parse("type=cache,dst=/c,sharing=locked,mode=0700,uid=5").unwrap();
        assert_eq!(
            (cache.read_only, cache.sharing, cache.mode, cache.uid),
            (false, Sharing::Locked, Some(0o700), Some(5))
        );
        assert_eq!(
            parse("type=tmpfs,target=/t,size=1m").unwrap().size,
            Some(1 << 20)
        );
        assert!(parse("type=secret,id=k,required").unwrap().required);
        assert_eq!(
            parse("type=bind,\"target=/a,b\",rw")
                .unwrap()
                .target
                .as_deref(),
            Some("/a,b")
        );
    }

    #[test]
    fn refusals_name_the_key() {
        for (text, message) in [
            (
                "type=bnid",
                "unsupported mount type \"bnid\" (did you mean bind?)",
            ),
            (
                "tpye=bind",
                "unexpected key 'tpye' in 'tpye=bind' (did you mean type?)",
            ),
            (
                "type=bind,uid=1",
                "uid not allowed for \"bind\" type mounts",
            ),
            (
                "type=cache,size=1",
                "unexpected key 'size' for mount type 'cache'",
            ),
            (
                "type=secret",
                "invalid secret mount. one of source, target required",
            ),
            ("target", "invalid field 'target' must be a key=value pair"),
            (
                "from=$x",
                "'from' doesn't support variable expansion, define alias stage instead",
            ),
            ("type=cache,mode=9", "invalid value 9 for mode"),
        ] {
            assert_eq!(parse(text).unwrap_err(), message, "{text}");
        }
    }
}
