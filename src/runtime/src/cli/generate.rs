//! What is made from the definition rather than written: shell completions and the manual page.

use clap_complete::Shell;

/// The completion script of `shell` for the program called `program`.
#[must_use]
pub fn completion(shell: Shell, program: &str) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::definition(), program, &mut script);
    script
}

/// The manual page keel.8 in roff, one section per command.
///
/// # Errors
/// Only what writing to memory can return.
pub fn manual() -> std::io::Result<Vec<u8>> {
    let definition = super::definition();
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(definition.clone())
        .section("8")
        .manual("System Administration");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    page.extend_from_slice(b".SH COMMANDS\n");
    for verb in definition.get_subcommands().filter(|c| !c.is_hide_set()) {
        let man = clap_mangen::Man::new(verb.clone());
        page.extend_from_slice(format!(".SS {}\n", verb.get_name()).as_bytes());
        page.extend_from_slice(
            format!(
                "{}\n",
                verb.get_about()
                    .map(ToString::to_string)
                    .unwrap_or_default()
            )
            .as_bytes(),
        );
        let mut options = Vec::new();
        man.render_options_section(&mut options)?;
        let options = String::from_utf8_lossy(&options).replace(".SH OPTIONS\n", "");
        page.extend_from_slice(options.as_bytes());
    }
    page.extend_from_slice(b".SH ANNOTATIONS\nAnnotations of config.json that keel heeds.\n");
    for (name, what) in crate::annotations::HEEDED {
        page.extend_from_slice(format!(".TP\n{name}\n{}\n", what.replace('-', "\\-")).as_bytes());
    }
    Ok(page)
}
