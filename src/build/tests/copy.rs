//! COPY on real directories: destinations, patterns, owners, modes, and links that would lead outside.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use gantry_build::copy::{content, put, select};
use gantry_build::state::State;
use gantry_build::step::{Copy, Work};
use gantry_build::variables::Globals;

/// A context and an empty stage in a temporary directory.
struct Rig {
    base: PathBuf,
}

impl Rig {
    fn new(name: &str) -> Self {
        let base = std::env::temp_dir().join(format!("gantry-copy-{name}-{}", std::process::id()));
        for (path, text) in [
            ("context/a.txt", "a"),
            ("context/b.txt", "b"),
            ("context/dir/one", "1"),
            ("context/dir/.hidden", "h"),
            ("context/dir/sub/two", "2"),
            ("context/dir/sub/two.md", "m"),
            ("stage/etc/old", "old"),
        ] {
            let path = base.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::set_permissions(
            base.join("context/dir/one"),
            fs::Permissions::from_mode(0o4751),
        )
        .unwrap();
        fs::hard_link(base.join("context/dir/one"), base.join("context/dir/same")).unwrap();
        Self { base }
    }

    fn context(&self) -> PathBuf {
        self.base.join("context")
    }

    fn stage(&self) -> PathBuf {
        self.base.join("stage")
    }

    fn copy(&self, instruction: &str) -> Result<(), String> {
        let copy = step(instruction);
        let own = fs::metadata(&self.base).unwrap();
        let sources = self.sources(&copy)?;
        put::put(
            &self.context(),
            &sources,
            &self.stage(),
            &copy,
            (own.uid(), own.gid()),
        )
        .map_err(|error| error.to_string())
    }

    fn sources(&self, copy: &Copy) -> Result<Vec<select::Source>, String> {
        let mut sources = Vec::new();
        for source in &copy.sources {
            sources.extend(
                select::select(&self.context(), source, copy.parents)
                    .map_err(|error| error.to_string())?,
            );
        }
        Ok(sources)
    }

    fn digest(&self, instruction: &str) -> String {
        let copy = step(instruction);
        content::digest(&self.context(), &copy, &self.sources(&copy).unwrap())
            .unwrap()
            .hex()
            .to_owned()
    }

    /// Every path of the stage, sorted, without what was there before.
    fn tree(&self) -> Vec<String> {
        let mut all = Vec::new();
        walk(&self.stage(), &self.stage(), &mut all);
        all.retain(|path| !path.starts_with("etc"));
        all.sort();
        all
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.base).unwrap();
    }
}

fn walk(root: &Path, dir: &Path, all: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        all.push(path.strip_prefix(root).unwrap().display().to_string());
        if path.is_dir() && !path.is_symlink() {
            walk(root, &path, all);
        }
    }
}

fn step(instruction: &str) -> Copy {
    let text = format!("FROM scratch\n{instruction}\n");
    let file = gantry_dockerfile::parse(&text).unwrap();
    let globals = Globals::default();
    let (mut state, _) = State::new(&file, &globals, 0, Default::default());
    match state
        .apply(&file.stages[0].instructions[0])
        .unwrap()
        .unwrap()
        .work
    {
        Work::Copy(copy) => copy,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_directory_gives_its_content() {
    let rig = Rig::new("directory");
    rig.copy("COPY dir /new/place").unwrap();
    let expected = [
        "new",
        "new/place",
        "new/place/.hidden",
        "new/place/one",
        "new/place/same",
        "new/place/sub",
    ];
    assert_eq!(rig.tree()[..6], expected);
    let one = fs::metadata(rig.stage().join("new/place/one")).unwrap();
    assert_eq!(
        (one.permissions().mode() & 0o7777, one.nlink()),
        (0o4751, 2)
    );
    rig.copy("COPY dir /etc").unwrap();
    assert!(rig.stage().join("etc/old").exists() && rig.stage().join("etc/sub/two").exists());
}

#[test]
fn files_go_to_a_name_or_into_a_directory() {
    let rig = Rig::new("files");
    rig.copy("COPY a.txt /x/y").unwrap();
    rig.copy("COPY a.txt /z/").unwrap();
    rig.copy("COPY b.txt /z").unwrap();
    rig.copy("COPY *.txt /w/").unwrap();
    rig.copy("COPY nothing* /never/").unwrap();
    assert_eq!(
        rig.tree(),
        [
            "w", "w/a.txt", "w/b.txt", "x", "x/y", "z", "z/a.txt", "z/b.txt"
        ]
    );
    assert!(
        rig.copy("COPY a.txt b.txt /v")
            .unwrap_err()
            .contains("more than one source file")
    );
    assert!(
        rig.copy("COPY missing /v")
            .unwrap_err()
            .contains("stat missing: file does not exist")
    );
    assert!(
        rig.copy("COPY ../../a.txt /up").is_ok(),
        "the context is the root of its paths"
    );
}

#[test]
fn modes_parents_and_exclusion() {
    let rig = Rig::new("parents");
    rig.copy("COPY --parents dir/sub/*.md /p/").unwrap();
    rig.copy("COPY --parents dir/./sub /q/").unwrap();
    rig.copy("COPY --exclude=sub/*.md --exclude=one dir /e/")
        .unwrap();
    rig.copy("COPY --chmod=600 a.txt /m").unwrap();
    rig.copy("COPY --chmod=u+x,go= dir/sub /s/").unwrap();
    let tree = rig.tree();
    for path in ["p/dir/sub/two.md", "q/sub/two", "e/same", "e/sub/two"] {
        assert!(tree.iter().any(|found| found == path), "{path} in {tree:?}");
    }
    for path in ["p/dir/sub/two", "q/dir", "e/sub/two.md", "e/one"] {
        assert!(
            !tree.iter().any(|found| found == path),
            "{path} in {tree:?}"
        );
    }
    let mode = |path: &str| {
        fs::metadata(rig.stage().join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!((mode("m"), mode("s/two")), (0o600, 0o700));
    assert_eq!(fs::read_to_string(rig.stage().join("e/same")).unwrap(), "1");
}

#[test]
fn inline_files() {
    let rig = Rig::new("inline");
    rig.copy("COPY <<one <<two /in/\n1\none\n2\ntwo").unwrap();
    rig.copy("COPY <<EOF /in/named\nx\nEOF").unwrap();
    assert_eq!(rig.tree(), ["in", "in/named", "in/one", "in/two"]);
    assert_eq!(
        fs::read_to_string(rig.stage().join("in/two")).unwrap(),
        "2\n"
    );
}

#[test]
fn links_stay_inside() {
    let rig = Rig::new("links");
    fs::write(rig.base.join("secret"), "host").unwrap();
    symlink("../secret", rig.context().join("out")).unwrap();
    symlink("dir/sub", rig.context().join("in")).unwrap();
    symlink("../../out", rig.stage().join("leave")).unwrap();
    symlink("etc", rig.stage().join("link")).unwrap();
    assert!(rig.copy("COPY out /x").is_err());
    rig.copy("COPY in /y/").unwrap();
    rig.copy("COPY a.txt /link/").unwrap();
    assert!(rig.copy("COPY a.txt /leave/").is_err());
    assert!(!rig.base.join("out").exists());
    assert_eq!(rig.tree(), ["leave", "link", "y", "y/two", "y/two.md"]);
    assert!(rig.stage().join("etc/a.txt").exists() && rig.stage().join("link").is_symlink());
}

#[test]
fn the_digest_is_of_content_and_not_of_time() {
    let rig = Rig::new("digest");
    let before = rig.digest("COPY dir /x");
    let file = fs::File::options()
        .write(true)
        .open(rig.context().join("dir/one"))
        .unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    assert_eq!(rig.digest("COPY dir /x"), before);
    assert_ne!(rig.digest("COPY --exclude=one dir /x"), before);
    fs::write(rig.context().join("dir/one"), "2").unwrap();
    assert_ne!(rig.digest("COPY dir /x"), before);
}
