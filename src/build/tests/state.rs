//! Whole stages applied to a base image: what lands in the configuration, in the history and in the steps.

use std::collections::BTreeMap;

use gantry_build::graph::Origin;
use gantry_build::key::Key;
use gantry_build::platform::Platform;
use gantry_build::state::State;
use gantry_build::step::{Copy, Mode, Run, Step, Work};
use gantry_build::variables::Globals;
use gantry_store::config::{ImageConfig, RunConfig};
use gantry_store::digest::Digest;

struct Built {
    image: ImageConfig,
    steps: Vec<Step>,
}

fn base() -> ImageConfig {
    let config = RunConfig {
        env: Some(vec!["PATH=/bin".into(), "A=base".into()]),
        cmd: Some(vec!["sh".into()]),
        ..RunConfig::default()
    };
    ImageConfig {
        config: Some(config),
        ..ImageConfig::default()
    }
}

fn build(text: &str, args: &[(&str, &str)]) -> Result<Built, String> {
    let file = gantry_dockerfile::parse(text).unwrap();
    let args: BTreeMap<String, String> = args
        .iter()
        .map(|(n, v)| ((*n).into(), (*v).into()))
        .collect();
    let platform = Platform::parse("linux/amd64").unwrap();
    let globals = Globals::new(&file, args, &platform, &platform, "").unwrap();
    let (mut state, triggers) = State::new(&file, &globals, 0, base());
    assert!(triggers.is_empty());
    let mut steps = Vec::new();
    for instruction in &file.stages[0].instructions {
        steps.extend(
            state
                .apply(instruction)
                .map_err(|error| error.to_string())?,
        );
    }
    Ok(Built {
        image: state.image,
        steps,
    })
}

fn config(text: &str) -> RunConfig {
    build(text, &[]).unwrap().image.config.unwrap()
}

fn history(text: &str, args: &[(&str, &str)]) -> Vec<String> {
    let built = build(text, args).unwrap();
    built
        .image
        .history
        .into_iter()
        .map(|entry| entry.created_by)
        .collect()
}

fn run_step(text: &str, args: &[(&str, &str)]) -> Run {
    match build(text, args).unwrap().steps.pop().unwrap().work {
        Work::Run(run) => run,
        other => panic!("{other:?}"),
    }
}

fn copy_step(text: &str) -> Copy {
    match build(text, &[]).unwrap().steps.pop().unwrap().work {
        Work::Copy(copy) => copy,
        other => panic!("{other:?}"),
    }
}

#[test]
fn env_keeps_its_order_and_replaces_in_place() {
    let config = config("FROM a\nENV A=1 B=\"x $A\"\nENV PATH=$PATH:/y C=${B}!\n");
    assert_eq!(
        config.env.unwrap(),
        ["PATH=/bin:/y", "A=1", "B=x base", "C=x base!"]
    );
}

#[test]
fn entrypoint_drops_an_inherited_cmd_alone() {
    let words = |text| {
        let config = config(text);
        (
            config.entrypoint.unwrap_or_default(),
            config.cmd.unwrap_or_default(),
        )
    };
    assert_eq!(
        words("FROM a\nENTRYPOINT [\"e\"]"),
        (vec!["e".into()], vec![])
    );
    assert_eq!(
        words("FROM a\nCMD c\nENTRYPOINT [\"e\"]").1,
        ["/bin/sh", "-c", "c"]
    );
    assert_eq!(
        words("FROM a\nENTRYPOINT []\nCMD [\"c\"]"),
        (vec![], vec!["c".into()])
    );
    assert_eq!(
        words("FROM a\nSHELL [\"bash\",\"-ec\"]\nENTRYPOINT x y").0,
        ["bash", "-ec", "x y"]
    );
}

#[test]
fn metadata_of_every_kind() {
    let config = config(
        "FROM a\nLABEL a=b \"c d\"='e f'\nEXPOSE 80 53/udp 9000-9001\nVOLUME /v [\nUSER u:g\nWORKDIR x\nWORKDIR ../y/.\n\
         STOPSIGNAL SIGRTMIN+3\nONBUILD RUN x $A\nHEALTHCHECK --interval=1m CMD t\n",
    );
    assert_eq!(config.labels.unwrap()["c d"], "e f");
    let ports: Vec<_> = config.exposed_ports.unwrap().into_keys().collect();
    assert_eq!(ports, ["53/udp", "80/tcp", "9000/tcp", "9001/tcp"]);
    assert_eq!(
        config.volumes.unwrap().into_keys().collect::<Vec<_>>(),
        ["/v", "["]
    );
    assert_eq!(
        (config.user.as_str(), config.working_dir.as_str()),
        ("u:g", "/y")
    );
    assert_eq!(config.on_build.unwrap(), ["RUN x $A"]);
    assert_eq!(
        config.healthcheck.unwrap().test.unwrap(),
        ["CMD-SHELL", "t"]
    );
}

#[test]
fn arguments_reach_commands_from_their_line_on_and_not_the_image() {
    let text = "ARG G=g\nFROM a\nRUN early\nARG X=$A\nARG G\nARG Y\nRUN late\n";
    let run = run_step(text, &[("X", "given"), ("http_proxy", "p")]);
    assert_eq!(run.env, ["PATH=/bin", "A=base", "X=given", "G=g"]);
    assert_eq!(run.proxies, [("http_proxy".to_owned(), "p".to_owned())]);
    assert_eq!(config(text).env.unwrap(), ["PATH=/bin", "A=base"]);
    let texts = history(text, &[]);
    assert_eq!(texts[0], "RUN /bin/sh -c early # buildkit");
    assert_eq!(texts[1..4], ["ARG X=base", "ARG G=g", "ARG Y"]);
    assert_eq!(texts[4], "RUN |3 X=base G=g Y= /bin/sh -c late # buildkit");
}

#[test]
fn history_is_worded_as_buildkit_words_it() {
    let texts = history(
        "FROM a\nENV a=b\nLABEL x=y\nCMD [\"c\"]\nWORKDIR /w\nEXPOSE 80\nVOLUME /v\nUSER u\nSHELL [\"s\",\"-c\"]\n\
         COPY --chown=1:2 a b /d/\nHEALTHCHECK NONE\nMAINTAINER me\n",
        &[],
    );
    assert_eq!(
        texts,
        [
            "ENV a=b",
            "LABEL x=y",
            "CMD [\"c\"]",
            "WORKDIR /w",
            "EXPOSE [80/tcp]",
            "VOLUME [/v]",
            "USER u",
            "SHELL [s -c]",
            "COPY --chown=1:2 a b /d/ # buildkit",
            "HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}",
            "MAINTAINER me",
        ]
    );
}

#[test]
fn here_documents_of_run() {
    assert_eq!(
        run_step("FROM a\nRUN <<E\nx\ny\nE\n", &[]).words,
        ["/bin/sh", "-c", "x\ny\n"]
    );
    let script = run_step("FROM a\nRUN <<-E\n\t#!/bin/env x\n\ty\n\tE\n", &[]);
    assert_eq!(script.words[2], "/dev/pipes/E");
    assert_eq!(
        script.script,
        Some(("E".into(), "#!/bin/env x\ny\n".into()))
    );
    assert_eq!(
        run_step("FROM a\nRUN cat <<E > f\nx\nE\n", &[]).words[2],
        "cat <<E > f\nx\nE"
    );
}

#[test]
fn destinations_and_modes_of_copy() {
    let destination = |to: &str| copy_step(&format!("FROM a\nWORKDIR /w\nCOPY x {to}")).destination;
    assert_eq!(
        ["y", "y/", ".", "/", "../z", "/a/./b"].map(destination),
        ["/w/y", "/w/y/", "/w/", "/", "/z", "/a/b"]
    );
    let copy = copy_step("FROM a AS q\nENV D=d\nADD --chmod=755 --link $D /$D/");
    assert_eq!(
        (copy.chmod, copy.sources[0].as_str(), copy.add),
        (Some(Mode::Bits(0o755)), "d", true)
    );
    let error = |text: &str| build(text, &[]).err().unwrap();
    assert!(error("FROM a\nCOPY --chmod=999 x y").contains("invalid chmod parameter: '999'"));
    assert!(
        error("FROM a\nADD --checksum=sha256:0 x y")
            .contains("checksum requires HTTP(S) or Git sources")
    );
    assert!(
        error("FROM a\nSTOPSIGNAL SIGTREM")
            .ends_with("invalid signal: SIGTREM (did you mean TERM?)")
    );
    assert!(error("FROM a\nEXPOSE x").contains("invalid containerPort: x"));
    assert!(error("FROM a\nENV a=${b:?none}").contains("b: none"));
}

#[test]
fn keys_depend_on_inputs_alone() {
    let empty = Key::base(&[]);
    let one = run_step("FROM a\nRUN x", &[]);
    let proxied = run_step("FROM a\nRUN x", &[("HTTP_PROXY", "p")]);
    let argued = run_step("FROM a\nARG V=1\nRUN x", &[]);
    let key = |run: &Run| empty.run(run, "linux/amd64", &[]);
    assert_eq!(key(&one), key(&proxied));
    assert_ne!(key(&one), key(&argued));
    let cache = |id: &str| {
        run_step(
            &format!("FROM a\nRUN --mount=type=cache,target=/c,id={id} x"),
            &[],
        )
    };
    assert_eq!(
        empty.run(&cache("1"), "p", &[None]),
        empty.run(&cache("2"), "p", &[None])
    );
    let content = Digest::of(b"content");
    let (linked, plain) = (
        copy_step("FROM a\nCOPY --link x /y"),
        copy_step("FROM a\nCOPY x /y"),
    );
    assert_eq!(
        Key::linked_layer(&linked, &content),
        Key::linked_layer(&linked, &content)
    );
    assert_ne!(
        empty.copy(&plain, &content),
        key(&one).copy(&plain, &content)
    );
    assert_ne!(
        empty.copy(&plain, &content),
        empty.copy(&plain, &Digest::of(b"other"))
    );
}

#[test]
fn mounts_know_where_they_come_from() {
    let run = run_step(
        "FROM a\nRUN --mount=from=img:1,target=/x --mount=type=tmpfs,target=/t x",
        &[],
    );
    assert_eq!(run.mounts[0].1, Origin::Image("img:1".into()));
    assert_eq!(run.mounts[1].1, Origin::Scratch);
}
