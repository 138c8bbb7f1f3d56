//! `POST /containers/create`.

use gantry_api::container::create::CreateRequest;
use http::StatusCode;

use super::Call;
use super::answer::{self, Answer};
use crate::error::Error;
use crate::pipe::blocking;

/// Makes a container.
pub async fn create(mut call: Call) -> Answer {
    let name = call.query.text("name").to_owned();
    let platform = call.query.text("platform").to_owned();
    let request: CreateRequest = call.json().await?;
    let engine = call.engine.clone();
    let made = blocking(move || {
        if !platform.is_empty() {
            let image = engine.store.resolve(&request.config.image)?;
            let own = format!("{}/{}", image.config.os, image.config.architecture);
            if platform != own && platform.split('/').take(2).collect::<Vec<_>>().join("/") != own {
                return Err(Error::not_found(format!(
                    "image with reference {} was found but does not match the specified platform: wanted {platform}, actual: {own}",
                    request.config.image
                )));
            }
        }
        engine.create_container(&name, request)
    });
    answer::json(StatusCode::CREATED, &made.await?)
}
