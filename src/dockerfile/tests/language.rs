//! The language as its users write it: whole files in, typed stages or one refusal out.

use gantry_dockerfile::instruction::{CommandLine, Kind};
use gantry_dockerfile::stage::{self, Dockerfile};
use gantry_dockerfile::{Instruction, parse};
use proptest::prelude::*;

fn kinds(text: &str) -> Vec<Kind> {
    let file: Dockerfile = parse(text).unwrap();
    let instructions = file.stages.into_iter().flat_map(|stage| stage.instructions);
    instructions
        .map(|instruction: Instruction| instruction.kind)
        .collect()
}

fn refusal(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

fn shell(text: &str) -> CommandLine {
    CommandLine {
        words: vec![text.to_owned()],
        shell: true,
    }
}

#[test]
fn stages_names_and_global_arguments() {
    let file =
        parse("ARG V=1 W\nFROM --platform=$P a:$V AS Base\nFROM base\nFROM 0 as x\n").unwrap();
    let names: Vec<_> = file.stages.iter().map(|s| s.from.name.as_deref()).collect();
    assert_eq!(names, [Some("base"), None, Some("x")]);
    assert_eq!(file.stages[0].from.platform.as_deref(), Some("$P"));
    assert_eq!(file.global.len(), 2);
    assert_eq!(file.stage("BASE", 1), Some(0));
    assert_eq!(file.stage("base", 0), None);
    assert_eq!(file.stage("1", 2), Some(1));
    assert_eq!(file.stage("2", 2), None);
}

#[test]
fn commands_in_both_forms() {
    let found =
        kinds("FROM a\nRUN echo 'a  b' && x\nCMD [\"a\",\"b\"]\nentrypoint exec top -b\nCMD\n");
    let Kind::Run(run) = &found[0] else { panic!() };
    assert_eq!(run.command, shell("echo 'a  b' && x"));
    assert_eq!(
        found[1],
        Kind::Cmd(CommandLine {
            words: vec!["a".into(), "b".into()],
            shell: false
        })
    );
    assert_eq!(found[2], Kind::Entrypoint(shell("exec top -b")));
}

#[test]
fn copy_with_flags_and_documents() {
    let text = "FROM a\nCOPY --from=x --chown=1:2 --link --exclude=*.o --exclude=b [\"a b\", \"c/\"]\n\
                ADD <<one <<'two' x /d/\n1 $A\none\n2 $A\ntwo\n";
    let found = kinds(text);
    let Kind::Copy(copy) = &found[0] else {
        panic!()
    };
    assert_eq!(
        (copy.sources.as_slice(), copy.destination.as_str()),
        (&["a b".to_owned()][..], "c/")
    );
    assert_eq!(
        (copy.link, copy.exclude.len(), copy.from.as_deref()),
        (true, 2, Some("x"))
    );
    let Kind::Add(add) = &found[1] else { panic!() };
    let files: Vec<_> = add
        .files
        .iter()
        .map(|f| (f.name.as_str(), f.content.as_str(), f.expand))
        .collect();
    assert_eq!(files, [("one", "1 $A\n", true), ("two", "2 $A\n", false)]);
    assert_eq!(add.sources, ["x"]);
}

#[test]
fn health_checks() {
    let found =
        kinds("FROM a\nHEALTHCHECK --interval=5s --retries=3 CMD curl x\nHEALTHCHECK none\n");
    let Kind::Healthcheck(check) = &found[0] else {
        panic!()
    };
    assert_eq!((check.interval, check.retries), (5_000_000_000, 3));
    assert_eq!(check.command, Some(shell("curl x")));
    assert!(matches!(&found[1], Kind::Healthcheck(check) if check.command.is_none()));
}

const REFUSALS: &[(&str, &str)] = &[
    (
        "FROM a\n\nRNU x",
        "dockerfile parse error on line 3: unknown instruction: RNU (did you mean RUN?)",
    ),
    (
        "FROM",
        "dockerfile parse error on line 1: FROM requires either one or three arguments",
    ),
    (
        "FROM a b",
        "dockerfile parse error on line 1: FROM requires either one or three arguments",
    ),
    (
        "FROM a\nCOPY x",
        "dockerfile parse error on line 2: COPY requires at least two arguments, but only one was provided. Destination could not be determined",
    ),
    (
        "FROM a\nCOPY --form=b x y",
        "dockerfile parse error on line 2: unknown flag: --form (did you mean from?)",
    ),
    (
        "FROM a\nRUN [\"a\", 1]",
        "dockerfile parse error on line 2: when using JSON array syntax, arrays must be comprised of strings only",
    ),
    (
        "FROM a\nENV x",
        "dockerfile parse error on line 2: ENV must have two arguments",
    ),
    (
        "FROM a\nONBUILD FROM b",
        "dockerfile parse error on line 2: FROM isn't allowed as an ONBUILD trigger",
    ),
    (
        "FROM a\nONBUILD CPY a b",
        "dockerfile parse error on line 2: unknown instruction: CPY (did you mean COPY?)",
    ),
    (
        "FROM a AS 1x",
        "dockerfile parse error on line 1: invalid name for build stage: \"1x\", name can't start with a number or contain symbols",
    ),
    (
        "RUN x\nFROM a",
        "dockerfile parse error on line 1: no build stage in current context: RUN stands before the first FROM",
    ),
    (
        "FROM a\nSHELL sh -c",
        "dockerfile parse error on line 2: SHELL requires the arguments to be in JSON form, as in SHELL [\"/bin/sh\", \"-c\"], not \"sh -c\"",
    ),
    (
        "FROM a\nRUN --network=hots x",
        "dockerfile parse error on line 2: unsupported network mode \"hots\" (did you mean host?)",
    ),
    (
        "FROM a\nHEALTHCHECK --interval=1us CMD x",
        "dockerfile parse error on line 2: Interval \"interval\" cannot be less than 1ms",
    ),
    (
        "FROM a\nCOPY a <<EOF\nEOF\n",
        "dockerfile parse error on line 2: COPY cannot accept a heredoc as a destination",
    ),
    ("ARG x", "no build stage: a Dockerfile needs a FROM"),
    (
        "FROM a\nINCLUDE x",
        "dockerfile parse error on line 2: INCLUDE is no part of docker's language; a first line `# include=1` allows it",
    ),
];

#[test]
fn refusals_name_line_and_remedy() {
    for (text, message) in REFUSALS {
        assert_eq!(refusal(text), *message, "{text}");
    }
}

#[test]
fn include_is_allowed_by_its_directive() {
    assert_eq!(
        kinds("# include=1\nFROM a\nINCLUDE part.docker\n"),
        [Kind::Include("part.docker".into())]
    );
}

#[test]
fn triggers_are_read_back() {
    let found = kinds("FROM a\nONBUILD RUN <<E\nx\nE\n");
    let Kind::Onbuild(text) = &found[0] else {
        panic!()
    };
    let trigger = stage::trigger(text).unwrap();
    assert!(matches!(&trigger.kind, Kind::Run(run) if run.heredocs[0].content == "x\n"));
    assert!(stage::trigger("FROM a").is_err());
    assert!(stage::trigger("RUN a\nRUN b").is_err());
}

#[test]
fn variables_are_replaced_where_docker_replaces_them() {
    let mut found = kinds("FROM a\nEXPOSE $P\nRUN $P\nCOPY $P <<E /$P/\n$P'\nE\n");
    let up = |text: &str| Ok(text.replace("$P", "80 81"));
    for kind in &mut found {
        kind.expand(up, |text| Ok(text.replace("$P", "doc")))
            .unwrap();
    }
    assert_eq!(found[0], Kind::Expose(vec!["80".into(), "81".into()]));
    assert!(matches!(&found[1], Kind::Run(run) if run.command == shell("$P")));
    assert!(
        matches!(&found[2], Kind::Copy(copy) if copy.destination == "/80 81/" && copy.files[0].content == "doc'\n")
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(FROM a\n)?([A-Z]{2,8}|RUN|COPY|ENV|ARG) [-$<>{}'\"\\\\a-c=\\[\\], \n#`/:%]{0,60}") {
        if let Ok(file) = parse(&text) {
            let findings = gantry_dockerfile::lint::check(&file, &gantry_dockerfile::lint::Check::default());
            prop_assert!(findings.iter().all(|finding| finding.line > 0));
        }
    }

    #[test]
    fn a_quoted_word_expands_to_itself(text in "[a-z $#{}:]{0,30}") {
        let lexer = gantry_dockerfile::word::Lexer::new('\\');
        let out = lexer.expand(&format!("'{text}'"), &gantry_dockerfile::word::NoVariables).unwrap();
        prop_assert_eq!(out.text, text);
    }

    #[test]
    fn a_literal_pattern_matches_itself_alone(path in "[a-z/.]{1,20}", other in "[a-z/.]{1,20}") {
        let glob = gantry_dockerfile::glob::Glob::new(&path).unwrap();
        prop_assert!(glob.matches(&path));
        prop_assert_eq!(glob.matches(&other), path == other);
    }
}
