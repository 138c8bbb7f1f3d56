//! `docker history`: an image's steps, newest first, with sizes and the images they made where those are here.

use crate::digest::Digest;
use crate::error::Result;
use crate::store::Store;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryLine {
    /// The image this step made, or `<missing>`.
    pub id: String,
    /// RFC 3339.
    pub created: Option<String>,
    /// Instruction or command.
    pub created_by: String,
    /// Names of that image.
    pub tags: Vec<String>,
    /// Bytes of the step's layer.
    pub size: u64,
    /// Note.
    pub comment: String,
}

impl Store {
    /// The steps of an image, newest first.
    ///
    /// # Errors
    /// No such image.
    pub fn history(&self, id: &Digest) -> Result<Vec<HistoryLine>> {
        let image = self.image(id)?;
        let mut layers = image.layers.iter();
        let mut lines = Vec::new();
        for entry in &image.config.history {
            let layer = if entry.empty_layer {
                None
            } else {
                layers.next()
            };
            let size = layer
                .and_then(|chain| self.layer(chain))
                .map_or(0, |layer| layer.size);
            lines.push(HistoryLine {
                id: "<missing>".to_owned(),
                created: entry.created.clone(),
                created_by: entry.created_by.clone(),
                tags: Vec::new(),
                size,
                comment: entry.comment.clone(),
            });
        }
        lines.reverse();
        let mut next = Some(image);
        for line in &mut lines {
            let Some(image) = next else { break };
            line.id = image.id.to_string();
            line.tags = image.tags;
            next = match &image.parent {
                Some(parent) => self.image(parent).ok(),
                None => None,
            };
        }
        Ok(lines)
    }
}
