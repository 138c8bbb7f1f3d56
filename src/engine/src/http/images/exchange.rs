//! Images as archives: save and load.

use std::io::Write;

use gantry_api::progress::{Detail, Line};
use gantry_store::LoadEvent;

use crate::error::Error;
use crate::http::Call;
use crate::http::answer::{self, Answer};
use crate::http::system::failure;
use crate::pipe::{self, blocking};

/// `GET /images/get` and `GET /images/{name}/get`.
pub async fn save(call: &Call, names: Vec<String>) -> Answer {
    let engine = call.engine.clone();
    // A name nobody has is a plain answer, not a broken archive.
    let names = blocking(move || {
        for name in &names {
            if let Err(error) = engine.store.resolve(name)
                && !engine
                    .store
                    .references()
                    .iter()
                    .any(|(reference, _)| reference.familiar_name() == *name)
            {
                return Err(error.into());
            }
        }
        Ok(names)
    })
    .await?;
    let engine = call.engine.clone();
    let (writer, parts) = pipe::writer();
    tokio::task::spawn_blocking(move || {
        let mut to = std::io::BufWriter::with_capacity(64 * 1024, writer.clone());
        let saved = engine.store.save(&names, &mut to).map_err(Error::from);
        let saved = saved.and_then(|()| to.flush().map_err(|e| Error::kernel("client", e)));
        match saved {
            Ok(()) => {
                for name in &names {
                    if let Ok(image) = engine.store.resolve(name) {
                        engine.image_event("save", &image.id.to_string(), name);
                    }
                }
            }
            Err(error) => writer.fail(&error),
        }
    });
    answer::stream("application/x-tar", parts)
}

/// `POST /images/load`.
pub fn load(call: Call) -> Answer {
    let quiet = call.query.flag("quiet");
    let engine = call.engine.clone();
    let (mut writer, parts) = pipe::writer();
    let reader = call.reader();
    tokio::task::spawn_blocking(move || {
        let mut tell = |event: LoadEvent| {
            let said = |text: String| Line {
                stream: text,
                ..Line::default()
            };
            let line = match event {
                LoadEvent::Layer(_) if quiet => return,
                LoadEvent::Layer(id) => Line {
                    id,
                    status: "Loading layer".into(),
                    detail: Some(Detail::default()),
                    ..Line::default()
                },
                LoadEvent::Name(reference, id) => {
                    engine.image_event("load", &id.to_string(), &reference.familiar());
                    said(format!("Loaded image: {}\n", reference.familiar()))
                }
                LoadEvent::Renamed(reference, old) => said(format!(
                    "The image {} already exists, renaming the old one with ID {old} to empty string\n",
                    reference.familiar()
                )),
                LoadEvent::Image(id) => {
                    engine.image_event("load", &id.to_string(), &id.to_string());
                    said(format!("Loaded image ID: {id}\n"))
                }
            };
            // A client that left hears nothing; what is loaded stays.
            writer.write_all(&line.to_wire()).unwrap_or_default();
        };
        if let Err(error) = engine.store.load(reader, &mut tell) {
            writer
                .write_all(&failure(&error.into()))
                .unwrap_or_default();
        }
    });
    answer::stream("application/json", parts)
}
