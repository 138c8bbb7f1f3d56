//! `--chown` and USER: names and numbers to ids, by the image's own `/etc/passwd` and `/etc/group`.

use gantry_dockerfile::error::Fault;

/// The ids `text` (`user[:group]`) means.
///
/// A number is an id whether or not the image knows it. Without a group the group is the user's own where the name is
/// looked up, and 0 or, for `--chown`, the user's number where it is one (`number_is_group`).
///
/// # Errors
/// A name the image does not know, or a number no id can be.
pub fn resolve(
    text: &str,
    passwd: &str,
    group: &str,
    number_is_group: bool,
) -> Result<(u32, u32), Fault> {
    let (user, named_group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let (uid, own_group) = match number(user)? {
        Some(uid) => {
            let own = field(
                passwd,
                |fields| fields.get(2).is_some_and(|id| *id == user),
                3,
            );
            (
                uid,
                own.filter(|_| !number_is_group)
                    .unwrap_or(if number_is_group { uid } else { 0 }),
            )
        }
        None => {
            let find = |index| field(passwd, |fields| fields.first() == Some(&user), index);
            let uid = find(2).ok_or_else(|| {
                Fault::from(format!(
                    "unable to find user {user}: no matching entries in passwd file"
                ))
            })?;
            (uid, find(3).unwrap_or(0))
        }
    };
    let gid = match named_group {
        None | Some("") => own_group,
        Some(name) => match number(name)? {
            Some(gid) => gid,
            None => field(group, |fields| fields.first() == Some(&name), 2).ok_or_else(|| {
                Fault::from(format!(
                    "unable to find group {name}: no matching entries in group file"
                ))
            })?,
        },
    };
    Ok((uid, gid))
}

/// An id written as a number; `None` for a name. The last two values of 32 bits mean "no id" to the kernel.
fn number(text: &str) -> Result<Option<u32>, Fault> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(id) if id < u32::MAX - 1 => Ok(Some(id)),
        _ => Err(format!("id {text} is out of range, expected 0 to {}", u32::MAX - 2).into()),
    }
}

/// The number at `index` of the first `:` separated line that fits.
fn field(text: &str, fits: impl Fn(&[&str]) -> bool, index: usize) -> Option<u32> {
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.trim().split(':').collect();
        if fits(&fields) {
            fields.get(index)?.parse().ok()
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_groups() {
        let (passwd, group) = (
            "root:x:0:0::/:\napp:x:10:20::/:\n",
            "root:x:0:\nstaff:x:50:\n",
        );
        let ids =
            |text: &str, chown| resolve(text, passwd, group, chown).map_err(|fault| fault.message);
        assert_eq!(ids("app", true), Ok((10, 20)));
        assert_eq!(ids("app:staff", true), Ok((10, 50)));
        assert_eq!(ids("7", true), Ok((7, 7)));
        assert_eq!(ids("7", false), Ok((7, 0)));
        assert_eq!(ids("10", false), Ok((10, 20)));
        assert_eq!(ids("7:8", true), Ok((7, 8)));
        assert!(
            ids("nobody", true)
                .unwrap_err()
                .contains("unable to find user nobody")
        );
        assert!(
            ids("0:none", true)
                .unwrap_err()
                .contains("unable to find group none")
        );
        assert!(ids("4294967295", true).is_err());
    }
}
