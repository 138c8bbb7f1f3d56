//! Dockerfiles built by the real docker command without a plugin, against gantry. Each test has an engine of its own;
//! steps run without network, so nothing of the host is touched.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use integration::engine::{Engine, Output};

/// Writes a context and builds it.
fn build(engine: &Engine, files: &[(&str, &str)], extra: &[&str]) -> Result<Output> {
    let context: PathBuf = engine.root.join("context");
    for (name, text) in files {
        let path = context.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&context))?;
        fs::write(path, text)?;
    }
    let mut words = vec!["build", "--network", "none", "-t", "built"];
    words.extend(extra);
    let context = context.display().to_string();
    words.push(&context);
    let mut command = engine.docker(&words);
    let done = command.env("DOCKER_BUILDKIT", "0").output()?;
    Ok(Output {
        code: done.status.code().unwrap_or(-1),
        out: String::from_utf8(done.stdout)?,
        err: String::from_utf8(done.stderr)?,
    })
}

fn succeed(engine: &Engine, files: &[(&str, &str)], extra: &[&str]) -> Result<String> {
    let done = build(engine, files, extra)?;
    ensure!(done.code == 0, "{done:?}");
    Ok(done.out)
}

fn inside(engine: &Engine, script: &str) -> Result<String> {
    engine.ok(&[
        "run",
        "--rm",
        "--network",
        "none",
        "built",
        "sh",
        "-c",
        script,
    ])
}

const MANY: &str = "ARG BASE=bb\nFROM ${BASE} AS one\nRUN echo one > /one\nENV A=b\nWORKDIR /w\nCOPY file .\n\
    FROM bb AS two\nRUN --mount=type=cache,target=/c echo x >> /c/n; cat /c/n > /n\n\
    FROM bb AS unused\nRUN exit 9\n\
    FROM one\nARG V=default\nCOPY --from=two /n /n\nCOPY <<EOF /inline\nhello $A $V\nEOF\n\
    RUN <<-SCRIPT\n\tcat /one /n /inline /w/file > /all\n\techo >> /all\n\techo $V >> /all\n\tSCRIPT\n\
    USER nobody\nLABEL x=y\nCMD [\"cat\", \"/inline\"]\n";

#[test]
fn d1_stages_mounts_and_documents_build_and_run() -> Result<()> {
    let Some(engine) = Engine::start("build-many")? else {
        return Ok(());
    };
    let files = [("Dockerfile", MANY), ("file", "content")];
    let told = succeed(&engine, &files, &["--build-arg", "V=given"])?;
    ensure!(told.contains("Step 1/15 : FROM ${BASE} AS one"), "{told}");
    ensure!(told.contains("Successfully tagged built:latest"), "{told}");
    assert_eq!(
        inside(&engine, "cat /all; id -u")?,
        "one\nx\nhello b given\ncontent\ngiven\n65534"
    );
    let config = engine.ok(&[
        "inspect",
        "-f",
        "{{.Config.Cmd}} {{.Config.WorkingDir}} {{.Config.Env}} {{.Config.Labels}}",
        "built",
    ])?;
    assert_eq!(
        config,
        "[cat /inline] /w [PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin A=b] map[x:y]"
    );
    Ok(())
}

#[test]
fn d7_a_second_build_runs_nothing_and_gives_the_same_image() -> Result<()> {
    let Some(mut engine) = Engine::start("build-cache")? else {
        return Ok(());
    };
    let files = [("Dockerfile", MANY), ("file", "content")];
    succeed(&engine, &files, &[])?;
    let first = engine.ok(&["images", "-q", "--no-trunc", "built"])?;
    // The next engine knows what the killed one built.
    engine.crash()?;
    let again = succeed(&engine, &files, &[])?;
    ensure!(!again.contains("---> Running"), "{again}");
    assert_eq!(engine.ok(&["images", "-q", "--no-trunc", "built"])?, first);
    let changed = succeed(&engine, &[("file", "changed")], &[])?;
    // The copy and the one step behind it that reads it; the other stage and what is before stay.
    assert_eq!(changed.matches("---> Using cache").count(), 3, "{changed}");
    assert_eq!(inside(&engine, "cat /w/file")?, "changed");
    Ok(())
}

#[test]
fn d6_dockerignore_and_d4_quiet() -> Result<()> {
    let Some(engine) = Engine::start("build-ignore")? else {
        return Ok(());
    };
    let files = [
        (
            "Dockerfile",
            "FROM bb\nCOPY . /c/\nRUN cd /c && echo * > /list\n",
        ),
        (".dockerignore", "# c\n*\n!keep\nkeep/not\n"),
        ("keep/yes", ""),
        ("keep/not", ""),
        ("gone", ""),
    ];
    let told = succeed(&engine, &files, &["-q"])?;
    ensure!(
        told.starts_with("sha256:") && told.trim_end().len() == 71,
        "{told:?}"
    );
    assert_eq!(
        inside(&engine, "cat /list; echo /c/keep/*")?,
        "keep\n/c/keep/yes"
    );
    Ok(())
}

#[test]
fn refusals_name_what_is_wrong_and_leave_nothing() -> Result<()> {
    let Some(engine) = Engine::start("build-refusals")? else {
        return Ok(());
    };
    for (text, part) in [
        (
            "FROM bb\nRNU x\n",
            "dockerfile parse error on line 2: unknown instruction: RNU (did you mean RUN?)",
        ),
        (
            "FROM bb\nRUN exit 3\n",
            "The command '/bin/sh -c exit 3' returned a non-zero code: 3",
        ),
        (
            "FROM bb\nCOPY none /\n",
            "COPY failed: file not found in build context or excluded by .dockerignore: stat none",
        ),
        ("FROM bb\nRUN nosuch\n", "returned a non-zero code: 127"),
    ] {
        let done = build(&engine, &[("Dockerfile", text)], &[])?;
        ensure!(
            done.code == 1 && done.err.contains(part),
            "{text}: {done:?}"
        );
    }
    assert_eq!(engine.ok(&["images", "-q"])?.lines().count(), 1);
    let left = fs::read_dir(engine.root.join("data/build/contexts"))?.count();
    assert_eq!(left, 0, "contexts are removed");
    let layers = fs::read_dir(engine.root.join("data/rw"))?.count();
    assert_eq!(layers, 0, "layers of failed builds are removed");
    Ok(())
}
