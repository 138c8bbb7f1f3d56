//! `image prune` by policy: which images go is decided here, from what the engine lists; each goes by an ordinary removal.

use std::collections::BTreeMap;

use gantry_api::container::list::Summary as Container;
use gantry_api::image::delete::Removed;
use gantry_api::image::list::Summary;

use super::remove;
use crate::connection::{Answer, Query, query::segment};
use crate::container::list::{as_float, filters};
use crate::container::prune;
use crate::failure::Outcome;
use crate::format::{short_id, table, time, units};
use crate::grammar::Parsed;
use crate::output;
use crate::session::Session;

/// The rules given.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Also images with names.
    pub all: bool,
    /// Images of each repository to keep.
    pub last: usize,
    /// Images made after this time stay, seconds since 1970.
    pub newer_than: Option<i64>,
    /// Bytes of unused images to keep.
    pub size: Option<i64>,
    /// Images with one of these labels stay.
    pub labels: Vec<String>,
}

fn repository(image: &Summary) -> Option<&str> {
    image
        .repo_tags
        .iter()
        .flatten()
        .next()
        .and_then(|name| name.rsplit_once(':'))
        .map(|(repository, _)| repository)
}

fn labelled(image: &Summary, wanted: &str) -> bool {
    let labels = image.labels.iter().flatten();
    match wanted.split_once('=') {
        Some((name, value)) => labels
            .into_iter()
            .any(|(known, is)| known == name && is == value),
        None => labels.into_iter().any(|(known, _)| known == wanted),
    }
}

impl Policy {
    /// The images that go, the oldest first.
    #[must_use]
    pub fn choose<'a>(&self, images: &'a [Summary], used: &[String]) -> Vec<&'a Summary> {
        let mut newest: Vec<&Summary> = images.iter().collect();
        newest.sort_by_key(|image| std::cmp::Reverse(image.created));
        let mut of: BTreeMap<&str, usize> = BTreeMap::new();
        let mut kept = 0;
        let mut going: Vec<&Summary> = Vec::new();
        for image in newest {
            let named = repository(image);
            let rank = named.map(|name| {
                let rank = of.entry(name).or_default();
                *rank += 1;
                *rank
            });
            let stays = used.contains(&image.id)
                || (named.is_some() && !self.all)
                || rank.is_some_and(|rank| rank <= self.last)
                || self.newer_than.is_some_and(|time| image.created > time)
                || self.labels.iter().any(|label| labelled(image, label));
            let fits = self.size.is_some_and(|size| kept + image.size <= size);
            if stays || fits {
                kept += if used.contains(&image.id) {
                    0
                } else {
                    image.size
                };
            } else {
                going.push(image);
            }
        }
        going.reverse();
        going
    }
}

/// Chooses and removes, or only shows.
///
/// # Errors
/// When the engine refuses.
pub fn run(session: &Session, parsed: &Parsed) -> Outcome {
    let engine = session.engine()?;
    let age = parsed.duration("keep-newer");
    let chosen_by_rule = ["keep-last", "keep-newer", "keep-size"]
        .iter()
        .any(|flag| parsed.given(flag));
    let policy = Policy {
        // A rule about age, number or size speaks of named images: without that there would be nothing to count.
        all: parsed.is("all") || chosen_by_rule,
        last: usize::try_from(parsed.number("keep-last")).unwrap_or(0),
        newer_than: parsed
            .given("keep-newer")
            .then(|| time::now() - age / 1_000_000_000),
        size: parsed.given("keep-size").then(|| parsed.bytes("keep-size")),
        labels: parsed.list("keep-label").to_vec(),
    };
    let images: Vec<Summary> = engine.get(
        "/images/json",
        &Query::new().maybe("filters", &filters(parsed).to_parameter()),
    )?;
    let containers: Vec<Container> =
        engine.get("/containers/json", &Query::new().when("all", true))?;
    let used: Vec<String> = containers
        .into_iter()
        .map(|container| container.image_id)
        .collect();
    let going = policy.choose(&images, &used);
    if parsed.is("dry-run") {
        return show(&going);
    }
    prune::agree(parsed, &format!("This will remove {} images.", going.len()))?;
    let mut text = String::new();
    let mut space = 0;
    for image in going {
        // By each of its names, so that an image used meanwhile is refused rather than forced away.
        let names: Vec<&String> = image.repo_tags.iter().flatten().collect();
        let names = if names.is_empty() {
            vec![&image.id]
        } else {
            names
        };
        for name in names {
            let removed: Vec<Removed> = engine
                .delete(&format!("/images/{}", segment(name)), &Query::new())
                .and_then(Answer::json)?;
            text += &remove::lines(&removed);
            space += if removed.iter().any(|item| item.deleted == image.id) {
                u64::try_from(image.size).unwrap_or(0)
            } else {
                0
            };
        }
    }
    let text = if text.is_empty() {
        text
    } else {
        format!("Deleted Images:\n{text}\n")
    };
    prune::report(&(text, space))
}

fn show(going: &[&Summary]) -> Outcome {
    let mut text = "IMAGE ID\tNAME\tCREATED\tSIZE\n".to_owned();
    for image in going {
        let names: Vec<&str> = image
            .repo_tags
            .iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let name = if names.is_empty() {
            "<none>".to_owned()
        } else {
            names.join(",")
        };
        let size = units::human_with(as_float(image.size), 3);
        text += &format!(
            "{}\t{name}\t{}\t{size}\n",
            short_id(&image.id),
            time::ago(image.created)
        );
    }
    let total: i64 = going.iter().map(|image| image.size).sum();
    output::text(&table::align(&text))?;
    output::line(&format!(
        "\nWould remove {} images, at most {}",
        going.len(),
        units::human(as_float(total))
    ))
}

#[cfg(test)]
mod tests {
    use super::Policy;
    use gantry_api::image::list::Summary;

    fn image(name: &str, created: i64, size: i64) -> Summary {
        let tags = if name.is_empty() {
            None
        } else {
            Some(vec![format!("{name}:{created}")])
        };
        Summary {
            id: format!("{name}{created}"),
            created,
            size,
            repo_tags: tags,
            ..Summary::default()
        }
    }

    fn ids(policy: &Policy, images: &[Summary], used: &[&str]) -> Vec<String> {
        let used: Vec<String> = used.iter().map(|&id| id.to_owned()).collect();
        policy
            .choose(images, &used)
            .iter()
            .map(|image| image.id.clone())
            .collect()
    }

    #[test]
    fn each_rule_keeps_what_it_says() {
        let images = [
            image("a", 1, 10),
            image("a", 2, 10),
            image("a", 3, 10),
            image("b", 1, 10),
            image("", 9, 10),
        ];
        let policy = |last, newer_than, size| Policy {
            all: true,
            last,
            newer_than,
            size,
            labels: Vec::new(),
        };
        assert_eq!(ids(&policy(1, None, None), &images, &[]), ["a1", "a2", "9"]);
        assert_eq!(ids(&policy(0, Some(1), None), &images, &[]), ["b1", "a1"]);
        assert_eq!(
            ids(&policy(0, None, Some(20)), &images, &["a1"]),
            ["b1", "a2"]
        );
        assert_eq!(ids(&Policy::default(), &images, &[]), ["9"]);
    }
}
