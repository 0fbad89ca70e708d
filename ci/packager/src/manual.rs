//! Pages of the manual and completions of shells, made from the command lines that the executables themselves parse: neither can
//! tell of an option that is not there. Knows no file and runs nothing.

use clap::Command;
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use nuage_cni::orchestrator::Orchestrator;

use crate::archive::{Entry, Kind, gzip, tar};
use crate::contents::{EXECUTABLES, Format};
use crate::error::Error;
use crate::{Order, Version};

/// The section of the manual for what people call.
const TOOLS: char = '1';
/// The section for what administers a node.
const ADMINISTRATION: char = '8';

/// The file of all pages and completions.
pub fn file_name(version: &Version) -> String {
    format!("nuage-cni-manual-{}.tar.gz", version.given())
}

/// An executable's command line.
///
/// # Errors
/// A name that no executable has.
pub fn command(executable: &str) -> Result<Command, Error> {
    Ok(match executable {
        "emulator" => nuage_emulator::cli::command(),
        "harness" => nuage_harness::cli::command(),
        "loopback" => nuage_cni::loopback::command(),
        "nuage-audit" => nuage_cni::audit::cli::command(),
        #[cfg(target_os = "linux")]
        "nuage-cni-install" => nuage_cni::install::command(),
        "nuage-cni-k8s" => nuage_cni::executable::command(Orchestrator::Kubernetes),
        "nuage-cni-mesos" => nuage_cni::executable::command(Orchestrator::Mesos),
        "nuage-cni-openshift" => nuage_cni::executable::command(Orchestrator::OpenShift),
        other => return Err(Error::NotInTable(other.to_owned())),
    })
}

/// What a file is made as.
enum Form {
    Page(Command, char),
    Completion(Shell, Command),
}

/// Where the files of an executable lie, and what each is made of.
fn places(executable: &str, format: Format) -> Result<Vec<(String, Form)>, Error> {
    let section = if matches!(executable, "emulator" | "harness") { TOOLS } else { ADMINISTRATION };
    let command = command(executable)?;
    let mut places = Vec::new();
    let mut whole = command.clone().disable_help_subcommand(true);
    whole.build();
    pages(&whole, section, &mut places);
    // Nothing to complete where there is nothing but the name.
    if command.get_arguments().next().is_some() || command.has_subcommands() {
        let zsh = match format {
            Format::Rpm => "site-functions",
            Format::Deb => "vendor-completions",
        };
        for (path, shell) in [
            (format!("/usr/share/bash-completion/completions/{executable}"), Shell::Bash),
            (format!("/usr/share/fish/vendor_completions.d/{executable}.fish"), Shell::Fish),
            (format!("/usr/share/zsh/{zsh}/_{executable}"), Shell::Zsh),
        ] {
            places.push((path, Form::Completion(shell, command.clone())));
        }
    }
    Ok(places)
}

/// A page for the command and for each below it, named as git names its pages.
fn pages(command: &Command, section: char, places: &mut Vec<(String, Form)>) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = format!("/usr/share/man/man{section}/{name}.{section}.gz");
    places.push((path, Form::Page(command.clone(), section)));
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages(below, section, places);
    }
}

/// Where an executable's pages and completions lie on a node.
///
/// # Errors
/// A name that no executable has.
pub fn paths(executable: &str, format: Format) -> Result<Vec<String>, Error> {
    Ok(places(executable, format)?.into_iter().map(|(path, _)| path).collect())
}

/// An executable's pages and completions with their paths; pages are compressed.
///
/// # Errors
/// A name that no executable has.
pub fn files(executable: &str, format: Format, version: &Version) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let made = |(path, form)| {
        let bytes = match form {
            Form::Page(command, section) => gzip(&page(command, section, version)?)?,
            Form::Completion(shell, mut command) => {
                let mut text = Vec::new();
                generate(shell, &mut command, executable, &mut text);
                if shell == Shell::Bash { labelled(executable, text) } else { text }
            }
        };
        Ok((path, bytes))
    };
    places(executable, format)?.into_iter().map(made).collect()
}

/// `clap_complete` 4.6.12 writes two different labels for the verbs of a command that has a hyphen in its name, so that bash would
/// complete none of their options: here they are the same.
fn labelled(executable: &str, script: Vec<u8>) -> Vec<u8> {
    let (state, label) = (executable.replace('-', "__"), executable.replace('-', "__subcmd__"));
    String::from_utf8(script).map(|text| text.replace(&label, &state)).unwrap_or_default().into_bytes()
}

/// A page in the language of man(7). It carries the version of what is shipped, and no date: the same command makes the same page.
fn page(command: Command, section: char, version: &Version) -> Result<Vec<u8>, Error> {
    let notes = command.get_after_long_help().or_else(|| command.get_after_help()).map(ToString::to_string);
    let options = command.get_arguments().any(|argument| !argument.is_hide_set());
    let below = command.get_subcommands().any(|below| !below.is_hide_set());
    let page = Man::new(command)
        .section(section)
        .source(format!("nuage-cni {}", version.upstream()))
        .manual("nuage-cni");
    let mut text = Vec::new();
    let mut render = || {
        page.render_title(&mut text)?;
        page.render_name_section(&mut text)?;
        page.render_synopsis_section(&mut text)?;
        page.render_description_section(&mut text)?;
        if options {
            page.render_options_section(&mut text)?;
        }
        if below {
            page.render_subcommands_section(&mut text)?;
        }
        // Examples and tables of exit codes, line by line as the help has them.
        if let Some(notes) = &notes {
            let mut roff = Roff::default();
            roff.control("SH", ["NOTES"]).control("nf", []);
            for line in notes.lines() {
                roff.text([roman(line)]);
            }
            roff.control("fi", []);
            roff.to_writer(&mut text)?;
        }
        Ok(())
    };
    render().map_err(Error::Archive)?;
    Ok(text)
}

/// Everything for those who unpack executables by hand: `tar -C /usr/local -xzf` puts it where man and shells look.
///
/// # Errors
/// None but those of a table that lacks an executable.
pub fn archive(order: &Order) -> Result<Vec<u8>, Error> {
    let mut entries = Vec::new();
    for executable in EXECUTABLES {
        for (path, bytes) in files(executable, Format::Rpm, &order.version)? {
            let path = path.trim_start_matches("/usr/").to_owned();
            entries.push(Entry { path, mode: 0o644, kind: Kind::File(bytes) });
        }
    }
    gzip(&tar(&entries, order.epoch)?)
}
