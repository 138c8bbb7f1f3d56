//! All containers, by id and by name; lookups never wait for a container.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::Container;
use crate::error::{Error, Result};

/// The table.
#[derive(Debug, Default)]
pub struct Registry {
    tables: RwLock<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    by_id: BTreeMap<String, Arc<Container>>,
    names: BTreeMap<String, String>,
}

impl Registry {
    /// Finds by id, name or unique prefix of an id, in docker's order.
    ///
    /// # Errors
    /// `No such container: X`; invalid for a prefix of several.
    pub fn find(&self, wanted: &str) -> Result<Arc<Container>> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = tables.by_id.get(wanted) {
            return Ok(found.clone());
        }
        if let Some(id) = tables.names.get(wanted.trim_start_matches('/')) {
            return tables.by_id.get(id).cloned().ok_or_else(|| missing(wanted));
        }
        if wanted.is_empty() {
            return Err(missing(wanted));
        }
        let mut matches = tables
            .by_id
            .range(wanted.to_owned()..)
            .take_while(|(id, _)| id.starts_with(wanted));
        match (matches.next(), matches.next()) {
            (Some((_, found)), None) => Ok(found.clone()),
            (Some(_), Some(_)) => Err(Error::invalid(format!(
                "multiple IDs found with provided prefix: {wanted}"
            ))),
            (None, _) => Err(missing(wanted)),
        }
    }

    /// Takes a name for an id.
    ///
    /// # Errors
    /// Conflict, docker's text, if another container has it.
    pub fn reserve(&self, name: &str, id: &str) -> Result<()> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(owner) = tables.names.get(name) {
            return Err(Error::conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". \
                 You have to remove (or rename) that container to be able to reuse that name."
            )));
        }
        tables.names.insert(name.to_owned(), id.to_owned());
        Ok(())
    }

    /// Whether a name is free.
    #[must_use]
    pub fn is_free(&self, name: &str) -> bool {
        !self
            .tables
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .names
            .contains_key(name)
    }

    /// Gives a name up.
    pub fn release(&self, name: &str) {
        self.tables
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .names
            .remove(name.trim_start_matches('/'));
    }

    /// Adds a container; its name is reserved already.
    pub fn add(&self, container: Arc<Container>) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.by_id.insert(container.id.clone(), container);
    }

    /// Forgets a container and its name.
    pub fn forget(&self, id: &str) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.by_id.remove(id);
        tables.names.retain(|_, owner| owner != id);
    }

    /// All of them, in order of id.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Container>> {
        self.tables
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .by_id
            .values()
            .cloned()
            .collect()
    }
}

fn missing(wanted: &str) -> Error {
    Error::not_found(format!("No such container: {wanted}"))
}
