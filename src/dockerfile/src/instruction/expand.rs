//! In which fields of an instruction variables are replaced.

use super::{Copy, Kind};
use crate::argument::Pair;
use crate::error::Fault;

impl Kind {
    /// Replaces the variables of every field docker expands, by `expand`; the content of here-documents of COPY and ADD
    /// by `expand_document`, for which quotes mean nothing. FROM, RUN, CMD, ENTRYPOINT, SHELL, HEALTHCHECK and ONBUILD
    /// stay as they are: FROM is expanded with the global arguments alone, by [`crate::stage`]'s users.
    ///
    /// # Errors
    /// What the functions refuse.
    pub fn expand(
        &mut self,
        mut expand: impl FnMut(&str) -> Result<String, Fault>,
        mut expand_document: impl FnMut(&str) -> Result<String, Fault>,
    ) -> Result<(), Fault> {
        match self {
            Self::Label(pairs) | Self::Env(pairs) => expand_pairs(pairs, &mut expand),
            Self::Volume(list) => expand_list(list, &mut expand),
            Self::Expose(ports) => expand_ports(ports, &mut expand),
            Self::User(text)
            | Self::Workdir(text)
            | Self::StopSignal(text)
            | Self::Include(text) => {
                *text = expand(text)?;
                Ok(())
            }
            Self::Add(copy) | Self::Copy(copy) => {
                for file in copy.files.iter_mut().filter(|file| file.expand) {
                    file.content = expand_document(&file.content)?;
                }
                expand_copy(copy, &mut expand)
            }
            // The arguments of one ARG see each other, so whoever keeps the values expands them one by one.
            Self::Arg(_)
            | Self::From(_)
            | Self::Run(_)
            | Self::Cmd(_)
            | Self::Entrypoint(_)
            | Self::Maintainer(_)
            | Self::Onbuild(_)
            | Self::Healthcheck(_)
            | Self::Shell(_) => Ok(()),
        }
    }
}

fn expand_pairs(
    pairs: &mut [Pair],
    expand: &mut impl FnMut(&str) -> Result<String, Fault>,
) -> Result<(), Fault> {
    for pair in pairs {
        pair.name = expand(&pair.name)?;
        pair.value = expand(&pair.value)?;
    }
    Ok(())
}

fn expand_list(
    list: &mut [String],
    expand: &mut impl FnMut(&str) -> Result<String, Fault>,
) -> Result<(), Fault> {
    for text in list {
        *text = expand(text)?;
    }
    Ok(())
}

/// A variable of EXPOSE may hold several ports.
fn expand_ports(
    ports: &mut Vec<String>,
    expand: &mut impl FnMut(&str) -> Result<String, Fault>,
) -> Result<(), Fault> {
    let mut expanded = Vec::new();
    for port in ports.iter() {
        expanded.extend(expand(port)?.split_whitespace().map(str::to_owned));
    }
    *ports = expanded;
    Ok(())
}

fn expand_copy(
    copy: &mut Copy,
    expand: &mut impl FnMut(&str) -> Result<String, Fault>,
) -> Result<(), Fault> {
    expand_list(&mut copy.sources, expand)?;
    expand_list(&mut copy.exclude, expand)?;
    copy.destination = expand(&copy.destination)?;
    let options = [
        &mut copy.chown,
        &mut copy.chmod,
        &mut copy.checksum,
        &mut copy.from,
    ];
    for text in options.into_iter().flatten() {
        *text = expand(text)?;
    }
    Ok(())
}
